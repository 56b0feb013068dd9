#!/usr/bin/env bash
# A Debian 13 as image servers have it, as small as it goes: an init, a bus and `ip`, no SSH server, no sudo, cloud-init's
# directory, and a user of uid 1000 who may do everything.
#
#   debian-13.sh FILE.tar.zst       needs root, mmdebstrap, zstd
set -euo pipefail

# From where this machine has its own packages.
# shellcheck disable=SC2016
mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
  grep -v security | head -n 1)"

# In memory, where there is some: dpkg waits for the disk after each package.
if [[ -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi
# $1 in the hook is the new tree.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include=systemd-sysv,dbus,iproute2 \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='chroot "$1" useradd -m -u 1000 -G adm ubuntu' \
  --customize-hook='mkdir -p "$1"/etc/sudoers.d "$1"/etc/cloud' \
  --customize-hook='echo "ubuntu ALL=(ALL) NOPASSWD:ALL" >"$1"/etc/sudoers.d/90-cloud-init-users' \
  --customize-hook='rm -f "$1"/etc/hostname; : >"$1"/etc/machine-id' \
  trixie "$1.tar" "$mirror"
zstd -q -3 -T0 --rm "$1.tar" -o "$1.part"
mv "$1.part" "$1"
