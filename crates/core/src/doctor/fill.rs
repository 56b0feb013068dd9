//! How a container's disk is written past its end: how large that disk is, how much is written, and
//! what to look at where it went in. Drivers differ in what they count, and in when a size holds. Not
//! what came of it.

use std::collections::BTreeMap;

use containarium_contract::ByteSize;
use containarium_incus::StoragePool;

use crate::create::LEAST_DISK;

/// What a container may write at the least, beyond what it has when it is made.
const ROOM: u64 = 96 << 20;
/// What may go in beyond the size: drivers count late, and round.
const MARGIN: u64 = 64 << 20;
/// How large a probe is made whose size can be changed while it runs.
const DISK: u64 = 4_000_000_000;
/// How large Incus makes an image's volume, and so what is made from it at the least, unless the pool
/// says otherwise.
const VOLUME: u64 = 10 << 30;

/// How a pool limits a container's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// By a quota, which holds as soon as it is set. Whether the image counts is the driver's affair:
    /// btrfs counts it, zfs does not.
    Quota,
    /// By a file system of its own. Incus leaves shrinking one for its next start and says that it is
    /// done, so it is made small.
    FileSystem {
        /// The smallest.
        least: u64,
    },
}

/// A disk, and what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    /// How large the disk is, bytes.
    pub(super) size: u64,
    /// How much is written at the most, bytes: more than fits, whatever else is counted.
    pub(super) tried: u64,
}

impl Limit {
    pub(super) fn of(pool: &StoragePool) -> Self {
        let is_set = |key: &str| pool.config.get(key).is_some_and(|value| value == "true");
        match pool.driver.as_str() {
            "lvm" | "lvmcluster" | "ceph" | "linstor" => Self::small(&pool.config),
            "zfs" if is_set("volume.zfs.block_mode") => Self::small(&pool.config),
            _ => Self::Quota,
        }
    }

    fn small(config: &BTreeMap<String, String>) -> Self {
        let size = config.get("volume.size");
        let size = size.and_then(|size| size.parse::<ByteSize>().ok());
        let volume = size.map_or(VOLUME, |size| size.bytes());
        Self::FileSystem {
            least: volume.max(LEAST_DISK),
        }
    }

    /// How large the probe's disk is made.
    pub(super) fn disk(self) -> u64 {
        match self {
            Self::Quota => DISK,
            Self::FileSystem { least } => least,
        }
    }

    /// What is tried where Incus tells `told` bytes of use, and `counted` are found inside.
    pub(super) fn fill(self, told: u64, counted: u64) -> Fill {
        let size = match self {
            // Below what is counted it could neither be set nor taken back.
            Self::Quota => told.max(counted).saturating_add(ROOM),
            Self::FileSystem { least } => least,
        };
        Fill {
            size,
            // As if nothing but what is written counted, as on zfs.
            tried: size.saturating_add(MARGIN),
        }
    }

    /// The command that tries it; it ends at the first refusal.
    pub(super) fn command(self, fill: Fill) -> String {
        match self {
            // What cannot be compressed, from the first byte on.
            Self::Quota => {
                let count = fill.tried.div_ceil(1 << 20);
                format!("dd if=/dev/urandom of=/root/probe bs=1M count={count} conv=fsync")
            }
            // Refused at once, and takes nothing of the pool.
            Self::FileSystem { .. } => format!("fallocate -l {} /root/probe", fill.tried),
        }
    }

    /// Whether a pool with so much left can tell its own end from the container's.
    pub(super) fn fits(self, fill: Fill, free: u64) -> bool {
        match self {
            Self::Quota => fill.tried < free,
            Self::FileSystem { .. } => true,
        }
    }
}

/// What shows why a pool limits nothing.
pub(super) fn look(pool: &StoragePool) -> String {
    let place = |key: &str| {
        let place = pool.config.get(key).or_else(|| pool.config.get("source"));
        place.map_or(pool.name.as_str(), String::as_str)
    };
    match pool.driver.as_str() {
        "btrfs" => format!(
            "btrfs quota enable /var/lib/incus/storage-pools/{}  # see the check `storage`",
            pool.name
        ),
        "zfs" => format!(
            "zfs get -r quota,refquota,used {}  # see the check `storage`",
            place("zfs.pool_name")
        ),
        "lvm" | "lvmcluster" => format!("lvs {}  # see the check `storage`", place("lvm.vg_name")),
        _ => format!(
            "incus storage show {}  # see the check `storage`",
            pool.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn pool(driver: &str, config: &[(&str, &str)]) -> StoragePool {
        let config = config.iter();
        StoragePool {
            name: "ct".into(),
            driver: driver.into(),
            config: config
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            ..StoragePool::default()
        }
    }

    /// What goes in where the limit holds, if `counts` bytes of it are taken from the beginning.
    fn goes_in(fill: Fill, counts: u64) -> u64 {
        fill.size.saturating_sub(counts)
    }

    #[test]
    fn a_quota_that_holds_refuses_what_is_tried_whether_it_counts_the_image_or_not() {
        let (image, own) = (GIB, 20 << 20);
        for (driver, told, counts) in [
            ("btrfs", image + own, image + own),
            // Incus is late.
            ("btrfs", 0, image + own),
            ("zfs", own, own),
            ("zfs", own, 0),
        ] {
            let fill = Limit::of(&pool(driver, &[])).fill(told, image + own);
            assert!(fill.size >= counts + ROOM, "{driver}: {fill:?}");
            let margin = fill.tried - goes_in(fill, counts);
            assert!(margin >= MARGIN, "{driver}: {fill:?}");
        }
    }

    #[test]
    fn a_file_system_is_made_small_and_never_shrunk() {
        let least = LEAST_DISK.to_string() + "B";
        for (pool, size) in [
            (pool("lvm", &[("volume.size", &least)]), LEAST_DISK),
            // What Incus makes an image's volume with; the container's cannot be smaller.
            (pool("lvm", &[]), VOLUME),
            (pool("zfs", &[("volume.zfs.block_mode", "true")]), VOLUME),
        ] {
            let limit = Limit::of(&pool);
            assert_eq!(limit.disk(), size, "{pool:?}");
            let fill = limit.fill(3 * GIB, 3 * GIB);
            assert_eq!(fill.size, limit.disk());
            assert_eq!(fill.tried, size + MARGIN);
            let command = limit.command(fill);
            assert!(command.starts_with("fallocate -l "), "{command}");
        }
        assert_eq!(Limit::of(&pool("zfs", &[])), Limit::Quota);
    }

    #[test]
    fn as_much_is_written_as_is_said() {
        let fill = Limit::Quota.fill(0, 1);
        let command = Limit::Quota.command(fill);
        // A megabyte more than is tried at the most, for the byte.
        assert!(command.contains(" bs=1M count=161 "), "{command}");
        assert!(Limit::Quota.fits(fill, fill.tried + 1));
        assert!(!Limit::Quota.fits(fill, fill.tried));
    }

    #[test]
    fn no_other_drivers_commands_are_named() {
        for (driver, word) in [
            ("btrfs", "btrfs "),
            ("zfs", "zfs "),
            ("lvm", "lvs "),
            ("dir", "incus "),
        ] {
            let command = look(&pool(driver, &[("source", "tank/ct")]));
            assert!(command.starts_with(word), "{driver}: {command}");
            assert_eq!(command.contains("btrfs"), driver == "btrfs", "{command}");
        }
    }
}
