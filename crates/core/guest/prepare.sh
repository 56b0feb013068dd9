#!/bin/bash
# Turns a base image (a distribution) into a prepared one. Runs once, as root, inside a builder container.
#
#   ADDRESS=10.84.0.2/16 GATEWAY=10.84.0.1 DNS=10.84.0.1 /root/containarium-guest/prepare.sh
#
# Expects the other files of this directory beside itself. Written for Debian 12 and 13 and Ubuntu 24.04, and so that an
# image from a public image server does as well as ours from base.sh. cloud-init, where there is one, was told not to run
# before the builder was started. Run so far on Debian 12 from base.sh, and on a small Debian 13 with a user of its own.
# Leaves nothing of the builder: see scrub.
set -euo pipefail

cd "$(dirname "$0")"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# Units still starting would undo what is done to them here. "degraded" is the base image's own affair.
# The builder may be younger than its own bus, through which its state is asked.
for _ in {1..300}; do
  if [[ -S /run/dbus/system_bus_socket ]]; then break; fi
  sleep 0.1
done
timeout 60 systemctl is-system-running --wait > /dev/null || true

# --- the network of the builder ------------------------------------------------------------------------------------
# Set by hand, for there need not be a DHCP server. Whatever the base image would do about it must not interfere.
if [[ -n ${ADDRESS:-} ]]; then
  systemctl stop systemd-networkd.socket systemd-networkd systemd-resolved > /dev/null 2>&1 || true
  ip link set eth0 up
  ip addr replace "$ADDRESS" dev eth0
  ip route replace default via "$GATEWAY"
  rm -f /etc/resolv.conf
  printf 'nameserver %s\n' "${DNS:-$GATEWAY}" > /etc/resolv.conf
fi

# --- packages ------------------------------------------------------------------------------------------------------
# Nothing that is installed here is started here.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
# A builder that does not come to its end is removed, so dpkg need not wait for the disk after each file.
printf 'Dpkg::Options { "--force-unsafe-io"; };\n' > /etc/apt/apt.conf.d/90containarium-builder
# Translations of package descriptions are most of what apt-get update would fetch.
printf 'Acquire::Languages "none";\n' > /etc/apt/apt.conf.d/90containarium
apt-get -q -o APT::Update::Error-Mode=any update # by itself it reports success when it could fetch nothing
apt-get -q -y --no-install-recommends install \
  systemd systemd-sysv dbus udev libpam-systemd openssh-server sudo iproute2 procps ca-certificates \
  curl git vim htop less bash-completion rsync
# Ubuntu has resolved inside its systemd package in some releases.
if [[ -n "$(apt-cache madison systemd-resolved)" ]]; then apt-get -q -y --no-install-recommends install systemd-resolved; fi
apt-get -q -y --no-install-recommends install libnss-resolve
apt-get -q -y --no-install-recommends dist-upgrade
rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/90containarium-builder

# --- who is in the image -------------------------------------------------------------------------------------------
# Image servers ship a user of their own (ubuntu, debian) with the uid that is to be our user's, and let it do everything.
# Its processes are those of a builder that nobody logs in to: none, or a lingering session's.
while IFS=: read -r name _ id _; do
  ((id >= 1000 && id < 60000)) || continue
  pkill -KILL -U "$id" || true
  # 12 is a mail spool or home that was not there to be removed.
  userdel -f -r "$name" > /dev/null 2>&1 || (($? == 12))
  # What lets somebody do everything must not wait for the next one of that name.
  { grep -lsE "^[[:space:]]*${name}[[:space:]]" /etc/sudoers.d/* || true; } | xargs -r rm -f
done < <(cat /etc/passwd)
while IFS=: read -r name _ id _; do
  if ((id >= 1000 && id < 60000)); then groupdel "$name"; fi
done < <(cat /etc/group)
passwd -l root > /dev/null

# --- our files -----------------------------------------------------------------------------------------------------
install -d /usr/lib/containarium /etc/containarium
install -m 755 identity claim scrub /usr/lib/containarium/
install -m 644 containarium-identity.service ssh.service /etc/systemd/system/

put() { # FILE, content on stdin
  install -D -m 644 /dev/stdin "$1"
}
put /etc/ssh/sshd_config.d/10-containarium.conf << 'END'
# Keys only. One host key: making it is part of every first boot, and the others would be made for nobody.
# The keys that Containarium manages are in one of the two files in /etc; those in the home are the user's own.
AuthorizedKeysFile .ssh/authorized_keys /etc/containarium/ssh_keys /etc/containarium/ssh_keys.2
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
END
put /etc/systemd/journald.conf.d/10-containarium.conf << 'END'
# The journal counts against its owner's quota; its default share of the disk would be 10 %.
[Journal]
SystemMaxUse=64M
END
put /etc/systemd/resolved.conf.d/10-containarium.conf << 'END'
# Neighbours are other tenants: no names are asked of them, or told.
[Resolve]
LLMNR=no
MulticastDNS=no
END
put /etc/systemd/system/systemd-udev-trigger.service.d/10-containarium.conf << 'END'
# Only networkd needs udev here, and only to learn that eth0 is ready. All of the host's devices would be replayed.
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=net
END
put /etc/default/locale << 'END'
LANG=C.UTF-8
END

# Our network file is the only one: DHCP would find nobody, and netplan's file would compete.
rm -f /etc/systemd/network/*.network /etc/netplan/*.yaml /etc/network/interfaces.d/*
if [[ -d /etc/cloud ]]; then touch /etc/cloud/cloud-init.disabled; fi

# --- what runs at boot ---------------------------------------------------------------------------------------------
mask() {
  local unit
  for unit in "$@"; do ln -sfn /dev/null "/etc/systemd/system/$unit"; done
}
enable() { systemctl --quiet enable "$@"; }
disable() { # disabled, not masked: a tenant may want it back
  local unit
  for unit in "$@"; do systemctl --quiet disable "$unit" > /dev/null 2>&1 || true; done
}

disable ssh.socket
mask ssh.socket # Ubuntu: its banner would come from systemd, before the user is there
enable containarium-identity.service ssh.service systemd-networkd.service systemd-resolved.service

# The address is there before anything could wait for it.
mask systemd-networkd-wait-online.service
# Turns everyone but root away until late in the boot; the banner is to prove a login.
install -d /etc/tmpfiles.d
ln -sfn /dev/null /etc/tmpfiles.d/systemd-nologin.conf

# Cannot work in a container, or is the host's: mounts of its kernel's insides, modules, devices, crash dumps, the root
# filesystem. Kept, although a boot would be quicker without: mqueue, sysctl, utmp, the fstab, sysv and rc.local
# generators, machine-id-commit; a tenant may build on each of them.
mask dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount modprobe@.service systemd-modules-load.service kmod-static-nodes.service \
  systemd-remount-fs.service systemd-network-generator.service systemd-pstore.service proc-sys-fs-binfmt_misc.automount systemd-binfmt.service
# Would ask somebody at a console: there is nobody.
mask systemd-firstboot.service systemd-ask-password-console.path systemd-ask-password-wall.path \
  getty.target console-getty.service getty-static.service

# Each generator is a process at every boot, all at once. These look for partitions, encrypted disks, a kernel command
# line, serial consoles or a firmware.
install -d /etc/systemd/system-generators
for generator in systemd-bless-boot-generator systemd-cryptsetup-generator systemd-debug-generator \
  systemd-getty-generator systemd-gpt-auto-generator systemd-hibernate-resume-generator \
  systemd-integritysetup-generator systemd-run-generator systemd-system-update-generator \
  systemd-veritysetup-generator systemd-tpm2-generator systemd-ssh-generator systemd-import-generator \
  systemd-factory-reset-generator; do
  ln -sfn /dev/null "/etc/systemd/system-generators/$generator"
done

# A thousand containers must not all wake up to fetch package lists, and hold apt's lock while their user waits for it.
disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer man-db.timer motd-news.timer update-notifier-download.timer update-notifier-motd.timer \
  unattended-upgrades.service systemd-timesyncd.service

exec /usr/lib/containarium/scrub
