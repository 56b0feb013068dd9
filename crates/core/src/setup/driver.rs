//! Storage drivers: which of them a pool is made with, and what each can do.

use std::{collections::BTreeMap, fmt, str::FromStr};

use containarium_incus::StorageDriver;

/// A storage driver of Incus that a pool of ours can be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A ZFS dataset for each container.
    Zfs,
    /// A logical volume in a thin pool for each container, with a file system of its own.
    Lvm,
    /// A btrfs subvolume for each container.
    Btrfs,
    /// A directory for each container: copies whole images and limits nothing.
    Dir,
}

/// The order in which they are tried where nobody chose: zfs knows true sizes and is the fastest, lvm's
/// limit is a block device's and inescapable, and btrfs every kernel has.
const ORDER: [Driver; 3] = [Driver::Zfs, Driver::Lvm, Driver::Btrfs];

impl Driver {
    /// Incus's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zfs => "zfs",
            Self::Lvm => "lvm",
            Self::Btrfs => "btrfs",
            Self::Dir => "dir",
        }
    }

    /// How a pool of it is set beside its size and place, for volumes of at least so many bytes.
    pub(super) fn config(self, least: u64) -> Option<(&'static str, String)> {
        match self {
            // A volume cannot be smaller than its image's, which is 10 GiB unless told otherwise.
            Self::Lvm => Some(("volume.size", format!("{least}B"))),
            Self::Zfs | Self::Btrfs | Self::Dir => None,
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Driver {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Zfs, Self::Lvm, Self::Btrfs, Self::Dir]
            .into_iter()
            .find(|driver| driver.name() == text)
            .ok_or("a storage driver is zfs, lvm, btrfs or dir")
    }
}

/// What a pool is made with: the first of these that can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    pub(super) drivers: Vec<Driver>,
    /// Those of the order that this Incus does not offer, because it lacks their tools or the kernel
    /// lacks them.
    pub(super) absent: Vec<Driver>,
}

impl Candidates {
    pub(super) fn new(chosen: Option<Driver>, offered: &[StorageDriver]) -> Self {
        let is_there = |driver: &Driver| offered.iter().any(|there| there.name == driver.name());
        let (drivers, absent) = match chosen {
            Some(chosen) => (vec![chosen], Vec::new()),
            None => ORDER.into_iter().partition(is_there),
        };
        Self { drivers, absent }
    }
}

/// What a storage driver does for containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Whether a container is made in a blink, whatever the size of its image.
    pub(crate) copies_on_write: bool,
    /// Whether a container's disk has a size.
    pub(crate) has_quotas: bool,
}

/// What a pool can do, by its driver and, for LVM and Ceph, how it is set.
pub(crate) fn abilities(driver: &str, config: &BTreeMap<String, String>) -> Abilities {
    let thin = || config.get("lvm.use_thinpool").is_none_or(|v| v != "false");
    let (copies_on_write, has_quotas) = match driver {
        "btrfs" | "zfs" | "ceph" | "linstor" => (true, true),
        "lvm" | "lvmcluster" => (driver == "lvm" && thin(), true),
        // `dir`: copies every file and ignores sizes where its file system has no project quotas.
        _ => (false, false),
    };
    Abilities {
        copies_on_write,
        has_quotas,
    }
}

impl Abilities {
    /// What it costs that an ability is not there; `None` where nothing is missing.
    pub(crate) fn cost(self) -> Option<String> {
        let mut costs = Vec::new();
        if !self.copies_on_write {
            costs.push("every create copies the whole image, which takes seconds and its full size on disk");
        }
        if !self.has_quotas {
            costs.push("no container's disk has a limit: one user can fill the disk for all");
        }
        (!costs.is_empty()).then(|| costs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_order_that_incus_offers_is_tried_first_and_dir_never() {
        let offered = |names: &[&str]| -> Vec<StorageDriver> {
            let one = |name: &&str| StorageDriver {
                name: (*name).to_owned(),
                ..StorageDriver::default()
            };
            names.iter().map(one).collect()
        };
        for (chosen, there, drivers, absent) in [
            (None, &["dir", "btrfs"][..], "btrfs", "zfs lvm"),
            (None, &["btrfs", "lvm", "dir", "zfs"], "zfs lvm btrfs", ""),
            (None, &["dir"], "", "zfs lvm btrfs"),
            (Some(Driver::Dir), &["dir", "btrfs"], "dir", ""),
            // Incus says itself why it cannot.
            (Some(Driver::Zfs), &["btrfs"], "zfs", ""),
        ] {
            let words = |drivers: Vec<Driver>| {
                let names: Vec<&str> = drivers.into_iter().map(Driver::name).collect();
                names.join(" ")
            };
            let found = Candidates::new(chosen, &offered(there));
            assert_eq!(words(found.drivers), drivers, "{chosen:?} {there:?}");
            assert_eq!(words(found.absent), absent, "{chosen:?} {there:?}");
        }
    }

    #[test]
    fn what_a_driver_cannot_do_is_said_with_its_cost() {
        let none = BTreeMap::new();
        let thick = BTreeMap::from([("lvm.use_thinpool".to_owned(), "false".to_owned())]);
        for (driver, config, costs) in [
            ("btrfs", &none, 0),
            ("zfs", &none, 0),
            ("lvm", &none, 0),
            ("lvm", &thick, 1),
            ("dir", &none, 2),
            ("unheard-of", &none, 2),
        ] {
            let cost = abilities(driver, config).cost().unwrap_or_default();
            let said = cost.split("; ").filter(|part| !part.is_empty()).count();
            assert_eq!(said, costs, "{driver}: {cost}");
        }
    }
}
