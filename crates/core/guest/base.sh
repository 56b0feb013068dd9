#!/usr/bin/env bash
# Makes a base image of this machine's own release, from the package source this machine already uses.
#
#   base.sh OUTPUT-DIRECTORY            needs root, mmdebstrap, zstd; about 1 GB of memory or in OUTPUT-DIRECTORY while it runs
#
# Leaves OUTPUT-DIRECTORY/base.tar.zst, an Incus image in one file (metadata.yaml and rootfs/), and prints three lines:
#   alias=base/debian/12
#   description=Debian 12 (bookworm)
#   file=OUTPUT-DIRECTORY/base.tar.zst
# It is a plain small Debian or Ubuntu: nothing of ours is in it, that is what prepare.sh is for.
set -euo pipefail

out="${1:?usage: base.sh OUTPUT-DIRECTORY}"

# dpkg waits for the disk after each package, two thirds of the time. A tree that would only be built again needs none of that:
# it is built in memory where there is enough, in a mount that is this process's alone and so ends with it, however that is.
in_memory="${CONTAINARIUM_IN_MEMORY:-no}"
if [[ $in_memory == no ]] && (($(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo) > 3000000)) &&
  unshare --mount true 2>/dev/null; then
  CONTAINARIUM_IN_MEMORY=yes exec unshare --mount -- bash "$0" "$@"
fi

os_release() {
  # shellcheck source=/dev/null
  (. /etc/os-release && printf '%s' "${!1:-}")
}
id="$(os_release ID)" version="$(os_release VERSION_ID)" suite="$(os_release VERSION_CODENAME)"
case "$id" in
debian) origin=Debian name=Debian ;;
ubuntu) origin=Ubuntu name=Ubuntu ;;
*)
  echo "base.sh: cannot make an image of $id; only of Debian and Ubuntu" >&2
  exit 1
  ;;
esac

# The distribution's own entries among this machine's sources, one line each: what the guest is built from, and what
# stays in its /etc/apt/sources.list. Backports and other people's archives are this machine's business.
# $(...) here is apt's own format language, not the shell's.
# shellcheck disable=SC2016
sources="$(apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI)|$(COMPONENT)' 'Created-By: Packages' |
  awk -F'|' -v origin="$origin" -v suite="$suite" '
    $1 == origin && ($2 == suite || $2 == suite "-updates" || $2 == suite "-security") {
      entry = $3 " " $2
      if (!(entry in components)) order[++n] = entry
      if (index(components[entry] " ", " " $4 " ") == 0) components[entry] = components[entry] " " $4
    }
    END { for (i = 1; i <= n; i++) print "deb " order[i] components[order[i]] }')"
if [[ -z $sources ]]; then
  echo "base.sh: apt knows no $name source for $suite; run apt-get update, or add one" >&2
  exit 1
fi

# A mirror behind a proxy, or one frozen in time, needs the same settings in the guest as here.
apt_options=()
for setting in Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until; do
  value="$(apt-config dump --format '%v' "$setting")"
  if [[ -n $value ]]; then apt_options+=("--aptopt=$setting \"$value\""); fi
done

# udev is there for systemd-networkd, which without it leaves every interface down and says nothing.
packages=systemd,systemd-sysv,dbus,udev,systemd-resolved,libnss-resolve,openssh-server,sudo,iproute2,ca-certificates
packages+=,procps,curl,libpam-systemd

mkdir -p "$out"
work="$(mktemp -d "$out/base.XXXXXX")"
trap 'umount "$work" 2>/dev/null; rm -rf "$work"' EXIT
if [[ $in_memory == yes ]]; then mount -t tmpfs -o size=2g,mode=755 containarium-base "$work"; fi

# Documentation stays out (copyright files excepted, they are a duty): nobody reads it in a container, everybody copies it.
# $1 in the hooks is the new tree, filled in by mmdebstrap.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" "${apt_options[@]}" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
  --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/log/*.log "$1"/var/log/apt/*' \
  --customize-hook='ln -s ../run/systemd/resolve/stub-resolv.conf "$1"/etc/resolv.conf; : >"$1"/etc/machine-id' \
  "$suite" "$work/rootfs" - <<<"$sources" >&2

description="$name $version ($suite)"
cat >"$work/metadata.yaml" <<YAML
architecture: $(uname -m)
creation_date: $(date +%s)
properties:
  os: $name
  release: $suite
  version: "$version"
  description: $description
YAML
tar -C "$work" --numeric-owner --xattrs --xattrs-include='*' -cf - metadata.yaml rootfs |
  zstd -q -3 -T0 -f -o "$out/base.tar.zst"

printf 'alias=base/%s/%s\ndescription=%s\nfile=%s\n' "$id" "$version" "$description" "$out/base.tar.zst"
