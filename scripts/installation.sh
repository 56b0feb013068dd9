# shellcheck shell=bash
# Which installation the scripts work on, for whom, and where its things are. Sourced, not run.
#
# All of it can be changed, so that a second installation can be tried beside the first:
#
#   CONTAINARIUM_NAME       of the Incus project, pool and bridge (containarium)
#   CONTAINARIUM_PORT       where the daemon listens on 127.0.0.1 (8080)
#   CONTAINARIUM_STATE_DIR  the store and the tokens' secret (/var/lib/NAME)
#   INCUS_DIR               the engine's directory (/var/lib/incus)
#
# The caller is the person who typed the command, also behind sudo: what is built, the token and the demo's key belong to
# the caller; the engine, the store and the daemon are root's.

# Used by those who source this.
# shellcheck disable=SC2034
{
  root_of_tree="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  scripts="$root_of_tree/scripts"
  bin="$root_of_tree/bin"

  name="${CONTAINARIUM_NAME:-containarium}"
  port="${CONTAINARIUM_PORT:-8080}"
  url="http://127.0.0.1:$port"
  state_dir="${CONTAINARIUM_STATE_DIR:-/var/lib/$name}"
  export INCUS_DIR="${INCUS_DIR:-/var/lib/incus}"
  INCUS_DIR="${INCUS_DIR%/}"
  engine="unix:$INCUS_DIR/unix.socket"

  run_dir="/run/$name"
  log_dir="/var/log/$name"
  daemon_pid_file="$run_dir/daemon.pid"
  daemon_log="$log_dir/daemon.log"
  # Where systemd runs the machine (see supervised): a place that is there before anybody logs in, and a unit.
  lib_dir="/usr/local/lib/$name"
  unit="$name.service"
  unit_file="/etc/systemd/system/$unit"
  # The group whose members administer the machine's installation without being root.
  group=containarium

  caller="$(id -un)"
  if ((EUID == 0)) && [[ -n ${SUDO_USER:-} ]]; then caller="$SUDO_USER"; fi
  caller_home="$(getent passwd "$caller" | cut -d: -f6)"
  # root without sudo may have a HOME of its own choice.
  if [[ $caller == "$(id -un)" && -n ${HOME:-} ]]; then caller_home="$HOME"; fi
  config_dir="$caller_home/.config/$name"
  token_file="$config_dir/token"
  demo_key="$config_dir/demo_ed25519"

  as_root=()
  if ((EUID != 0)); then as_root=(sudo); fi
  as_caller=()
  if [[ $caller != "$(id -un)" ]]; then as_caller=(runuser -u "$caller" --); fi

  # rustup's cargo before the distribution's, which may be years older. sbin is not in an ordinary user's PATH on Debian.
  PATH="$caller_home/.cargo/bin:$PATH:/usr/sbin:/sbin"
  export PATH
}

if [[ ! $name =~ ^[a-z][a-z0-9]{0,14}$ ]]; then
  echo "CONTAINARIUM_NAME is 1 to 15 of a-z and 0-9 and starts with a letter: \`$name\` is not" >&2
  exit 2
fi

# Whether systemd is to run the daemon: it runs the machine, and its Incus.
supervised() { [[ -d /run/systemd/system && $INCUS_DIR == /var/lib/incus ]]; }

# Runs a command as the caller, with the caller's HOME: cargo and ssh keep their things there.
by_caller() { "${as_caller[@]}" env HOME="$caller_home" "$@"; }

# Runs a step and says how long it took, also when it failed.
step() { # WHAT COMMAND...
  local what="$1" begun="${EPOCHREALTIME/./}" status=0
  shift
  printf '\n== %s\n' "$what"
  "$@" || status=$?
  local took=$(((${EPOCHREALTIME/./} - begun) / 100000))
  if ((status == 0)); then
    printf '== %s: done in %d.%d s\n' "$what" $((took / 10)) $((took % 10))
  else
    printf '== %s: FAILED after %d.%d s\n' "$what" $((took / 10)) $((took % 10))
    exit "$status"
  fi
}

# The start time of a process. A pid alone may belong to somebody else by the time it is read; with this it cannot.
started() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }

# The pid of the daemon, where systemd has one.
unit_pid() {
  local pid
  pid="$(systemctl show --property MainPID --value "$unit" 2>/dev/null)" || return 1
  [[ -n $pid && $pid != 0 ]] || return 1
  printf '%s' "$pid"
}

# The pid of the daemon that scripts/start-daemon started itself, if that very process still lives.
daemon_pid() {
  local pid began
  [[ -r $daemon_pid_file ]] || return 1
  read -r pid began <"$daemon_pid_file" || return 1
  [[ -n $began && "$(started "$pid")" == "$began" ]] || return 1
  printf '%s' "$pid"
}
