# shellcheck shell=bash
# Stages of a long run: each has a budget, some run beside others, and a table at the end says how long each took. Sourced,
# not run.
#
#   stage SECONDS WHAT COMMAND...   runs a stage; the run fails at once where the command fails
#   beside FUNCTION                 runs a function of stages in the background; its output is shown when it is joined
#   join                            waits for all functions that run beside; fails where one of them did
#   took SECONDS WHAT BEGUN         notes a stage that has ended; BEGUN is what $EPOCHREALTIME was, without its point
#   table                           prints what each stage took; where CI=true it fails where one took over 1.5 times its budget
#
# Budgets are for two cores with everything downloaded already. A script that is started by a stage notes stages of its own in
# the same table.

scratch="$(mktemp -d)"
export STAGES_TABLE="${STAGES_TABLE:-$scratch/table}"
lanes=()
lane_names=()

end_stages() {
  local status=$?
  trap - EXIT
  trap '' TERM
  # What a lane has begun ends with it: each is a process group of its own.
  local lane
  for lane in "${lanes[@]}"; do kill -TERM -- "-$lane" 2>/dev/null || true; done
  for lane in "${lanes[@]}"; do wait "$lane" 2>/dev/null || true; done
  if ((status != 0)); then
    local name
    for name in "${lane_names[@]}"; do
      printf '\n-- the end of what ran beside it (%s)\n' "$name"
      tail -n 40 "$scratch/$name.log"
    done
  fi
  rm -rf -- "$scratch"
  exit "$status"
}
trap end_stages EXIT
trap 'exit 130' INT TERM

stage() { # SECONDS WHAT COMMAND...
  local budget="$1" begun="${EPOCHREALTIME/./}"
  shift
  step "$@"
  took "$budget" "$1" "$begun"
}

took() { # SECONDS WHAT BEGUN
  printf '%s\t%s\t%s\n' $(((${EPOCHREALTIME/./} - $3) / 100000)) "$1" "$2" >>"$STAGES_TABLE"
}

beside() { # FUNCTION
  set -m
  (
    trap - EXIT
    trap 'exit 130' INT TERM
    "$1"
  ) >"$scratch/$1.log" 2>&1 &
  set +m
  lanes+=("$!")
  lane_names+=("$1")
}

join() {
  local lane failed=no
  while ((${#lanes[@]} > 0)); do
    lane="${lanes[0]}"
    wait "$lane" || failed=yes
    cat "$scratch/${lane_names[0]}.log"
    lanes=("${lanes[@]:1}")
    lane_names=("${lane_names[@]:1}")
    if [[ $failed == yes ]]; then exit 1; fi
  done
}

table() {
  local over=no tenths budget what verdict
  printf '\n%8s  %8s  %s\n' seconds budget stage
  while IFS=$'\t' read -r tenths budget what; do
    verdict=''
    if ((tenths > budget * 15)); then
      verdict='  OVER 1.5 TIMES ITS BUDGET'
      over=yes
    fi
    printf '%6d.%d  %8d  %s%s\n' $((tenths / 10)) $((tenths % 10)) "$budget" "$what" "$verdict"
  done <"$STAGES_TABLE"
  if [[ $over == yes && ${CI:-} == true ]]; then return 1; fi
}
