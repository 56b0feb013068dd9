#!/bin/bash
# Adds Docker to a prepared image. Runs once, as root, inside a builder made from the prepared image, whose address was
# set by its identity (no username: nobody lives there yet).
set -euo pipefail

cd "$(dirname "$0")"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# The builder may be younger than its own bus, through which its state is asked.
for _ in {1..300}; do
  if [[ -S /run/dbus/system_bus_socket ]]; then break; fi
  sleep 0.1
done
timeout 60 systemctl is-system-running --wait > /dev/null || true

printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
# A builder that does not come to its end is removed, so dpkg need not wait for the disk after each file.
printf 'Dpkg::Options { "--force-unsafe-io"; };\n' > /etc/apt/apt.conf.d/90containarium-builder
apt-get -q -o APT::Update::Error-Mode=any update # by itself it reports success when it could fetch nothing
# docker.io recommends a great deal (git, apparmor, needrestart); what it cannot do without is named instead. The
# command line and the builder are packages of their own from Debian 13 on.
packages=(docker.io containerd runc iptables)
for package in docker-cli docker-buildx; do
  if [[ -n "$(apt-cache madison "$package")" ]]; then packages+=("$package"); fi
done
apt-get -q -y --no-install-recommends install "${packages[@]}"
rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/90containarium-builder

# overlay2 by name: on btrfs Docker would choose its btrfs driver, which makes subvolumes, which are denied here because
# a quota does not hold them. From 23 on the same holds for containerd's own image store, which would ignore the driver.
version="$(dockerd --version | sed -n 's/^Docker version \([0-9]*\).*/\1/p')"
features=''
if ((version >= 23)); then features=', "features": {"containerd-snapshotter": false}'; fi
install -d /etc/docker
printf '{"storage-driver": "overlay2"%s}\n' "$features" > /etc/docker/daemon.json

# By its socket only, see containarium-docker.service. containerd is started by docker.service, which wants it.
install -m 644 containarium-docker.service /etc/systemd/system/
systemctl --quiet disable docker.service containerd.service
systemctl --quiet enable docker.socket containarium-docker.service

exec /usr/lib/containarium/scrub
