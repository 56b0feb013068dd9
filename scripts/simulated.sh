# shellcheck shell=bash
# A simulated server beside which a script works, and other programs that end with the script. Sourced, not run.
#
#   scratch   a directory that ends with the script

scratch="$(mktemp -d)"
started_pids=()
end_all() {
  local status=$?
  trap - EXIT
  if ((${#started_pids[@]} > 0)); then
    kill "${started_pids[@]}" 2>/dev/null || true
    wait "${started_pids[@]}" 2>/dev/null || true
  fi
  rm -rf -- "$scratch"
  exit "$status"
}
trap end_all EXIT
trap 'exit 130' INT TERM

# Starts a program and waits until it has printed where it listens, to $scratch/NAME.out.
start() { # NAME COMMAND...
  local name="$1" tries=300
  shift
  "$@" >"$scratch/$name.out" 2>"$scratch/$name.err" &
  started_pids+=("$!")
  until grep -q 'http://' "$scratch/$name.out"; do
    if ((tries-- == 0)) || ! kill -0 "${started_pids[-1]}" 2>/dev/null; then
      echo "$name does not start:" >&2
      cat "$scratch/$name.err" >&2
      return 1
    fi
    sleep 0.1
  done
}

# Starts a simulated server and exports how an admin reaches it.
start_simulated() { # PROGRAM
  start daemon "$1" daemon --engine sim --address 127.0.0.1 --port 0 --state-dir "$scratch/state"
  CONTAINARIUM_SERVER_URL="$(sed -n 's/.*CONTAINARIUM_SERVER_URL=//p' "$scratch/daemon.out")"
  CONTAINARIUM_JWT_TOKEN="$("$1" token generate --username admin --roles admin --state-dir "$scratch/state" 2>/dev/null)"
  export CONTAINARIUM_SERVER_URL CONTAINARIUM_JWT_TOKEN
}
