# Packs image.tar.gz of metadata.yaml and a busybox root. Runs in an empty directory, as root, for quick_guest.rs.

mkdir -p templates rootfs/bin rootfs/sbin rootfs/etc/containarium rootfs/proc rootfs/sys rootfs/dev rootfs/tmp rootfs/run
cp "$(command -v busybox)" rootfs/bin/busybox
ln -s busybox rootfs/bin/sh

cat >templates/identity.tpl <<'END'
address={{ config_get("user.containarium.address", "")|safe }}
gateway={{ config_get("user.containarium.gateway", "")|safe }}
END
cat >rootfs/bin/banner <<'END'
#!/bin/sh
busybox printf 'SSH-2.0-quick\r\n'
END
# 30 is what Incus sends to stop a container.
cat >rootfs/sbin/init <<'END'
#!/bin/sh
trap 'exit 0' 30
. /etc/containarium/identity
busybox ip link set lo up
busybox ip link set eth0 up
busybox ip addr add "$address" dev eth0
busybox ip route add default via "$gateway"
busybox nc -ll -p 22 -e /bin/banner &
while :; do wait; busybox sleep 1; done
END
chmod 755 rootfs/bin/banner rootfs/sbin/init
tar --numeric-owner --owner=0 --group=0 -czf image.tar.gz metadata.yaml templates rootfs
