//! The storage pool of an installation: what a person chose, or a sparse file of what is free; and
//! what a chosen one can and cannot do. Not what is in it.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use containarium_incus::{Client, Error as Incus, StoragePool, StoragePoolPost};
use tokio::process::Command;

use super::{Init, Report, SetupError, While as _, init};
use crate::Installation;

/// The smallest pool that holds the images and a few containers.
const LEAST_POOL: u64 = 10 << 30;

/// Where containers are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChoice {
    /// A sparse file where Incus keeps its files; of so many bytes, or of three quarters of what is
    /// free.
    File(Option<u64>),
    /// A whole disk or partition, which is formatted.
    Device(PathBuf),
    /// A pool that this Incus has already. A purge leaves it.
    Existing(String),
}

impl PoolChoice {
    /// The pool's name in an installation called `name`.
    pub(super) fn pool<'n>(&'n self, name: &'n str) -> &'n str {
        match self {
            Self::File(_) | Self::Device(_) => name,
            Self::Existing(pool) => pool,
        }
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

/// Refuses what cannot be, before anything is made.
pub(super) async fn check(ask: &Init, incus: &Client) -> Result<(), SetupError> {
    match &ask.pool {
        PoolChoice::File(None) => Ok(()),
        PoolChoice::File(Some(size)) if *size < LEAST_POOL => Err(SetupError::SmallPool {
            asked: *size,
            least: LEAST_POOL,
        }),
        PoolChoice::File(Some(_)) => Ok(()),
        PoolChoice::Device(device) => check_device(device).await,
        PoolChoice::Existing(name) => match incus.storage_pool(name).await {
            Ok(_) => Ok(()),
            Err(Incus::NotFound(_)) => {
                let all = incus.storage_pools().await.doing("listing storage pools")?;
                Err(SetupError::NoPool {
                    name: name.clone(),
                    there: all.into_iter().map(|pool| pool.name).collect(),
                })
            }
            Err(other) => Err(other).doing("looking for the storage pool"),
        },
    }
}

/// Makes the pool, or finds it.
pub(super) async fn make(
    incus: &Client,
    installation: &Installation,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.pool;
    match incus.storage_pool(name).await {
        Ok(found) if found.name != installation.name => {
            report(&format!(
                "storage pool {name}: there before ({}), and stays when this installation is \
                 purged",
                found.driver
            ));
            if let Some(cost) = abilities(&found.driver, &found.config).cost() {
                report(&format!(
                    "WARNING: storage pool {name} ({}): {cost}",
                    found.driver
                ));
            }
            Ok(())
        }
        Ok(found) => {
            init::ours("storage pool", installation, &found.config)?;
            unchanged(&ask.pool, &found)?;
            report(&format!("storage pool {name}: there ({})", found.driver));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let (config, why) = match &ask.pool {
                PoolChoice::Device(device) => {
                    let source = device.display().to_string();
                    let why = format!("btrfs on {source}, which you chose");
                    ([("source", source)], why)
                }
                PoolChoice::File(Some(size)) => {
                    let why = format!(
                        "btrfs in a sparse file of up to {}, which you chose{}",
                        Gib(*size),
                        beyond(*size, free_bytes(ask)?)
                    );
                    ([("size", format!("{size}B"))], why)
                }
                PoolChoice::File(None) | PoolChoice::Existing(_) => {
                    let size = ((free_bytes(ask)? / 4 * 3) >> 30 << 30).max(LEAST_POOL);
                    let why = format!(
                        "btrfs in a sparse file of up to {} (three quarters of what is free; a \
                         disk of its own is faster: --pool-device)",
                        Gib(size)
                    );
                    ([("size", format!("{size}B"))], why)
                }
            };
            let post = StoragePoolPost {
                name: name.clone(),
                // Copies on write and holds quotas, and every kernel has it.
                driver: "btrfs".into(),
                description: init::description(installation),
                config: init::tagged(installation, config),
            };
            incus
                .create_storage_pool(&post)
                .await
                .doing("making the storage pool")?;
            report(&format!("storage pool {name}: made, {why}"));
            Ok(())
        }
        Err(other) => Err(other).doing("looking for the storage pool"),
    }
}

/// What was chosen once stays: a pool cannot be moved under its containers.
fn unchanged(asked: &PoolChoice, found: &StoragePool) -> Result<(), SetupError> {
    let config = |key: &str| found.config.get(key).cloned().unwrap_or_default();
    let fixed = |what, asked: String, is: String| Err(SetupError::Fixed { what, asked, is });
    match asked {
        PoolChoice::File(None) | PoolChoice::Existing(_) => Ok(()),
        PoolChoice::File(Some(size)) if config("size") == format!("{size}B") => Ok(()),
        PoolChoice::File(Some(size)) => fixed("--pool-size", format!("{size}B"), config("size")),
        PoolChoice::Device(device) => {
            let (asked, is) = (
                device.display().to_string(),
                config("volatile.initial_source"),
            );
            if asked == is || asked == config("source") {
                Ok(())
            } else {
                fixed("--pool-device", asked, is)
            }
        }
    }
}

/// What is free where Incus keeps its files: a pool's file is sparse, and a host whose own disk is
/// full stops working.
fn free_bytes(ask: &Init) -> Result<u64, SetupError> {
    let dir = ask.engine.parent().unwrap_or(&ask.engine);
    let space = rustix::fs::statvfs(dir).map_err(std::io::Error::from);
    let space = space.doing(format!("free space in {}", dir.display()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn beyond(size: u64, free: u64) -> String {
    if size > free {
        format!("; WARNING: only {} are free there now", Gib(free))
    } else {
        String::new()
    }
}

/// A size as people read it.
pub(crate) struct Gib(pub(crate) u64);

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = u128::from(self.0) * 10 / (1 << 30);
        if tenths % 10 == 0 {
            write!(f, "{} GiB", tenths / 10)
        } else {
            write!(f, "{}.{} GiB", tenths / 10, tenths % 10)
        }
    }
}

/// A disk is formatted, so it must hold nothing: no file system, no partitions, nobody who uses it.
async fn check_device(device: &Path) -> Result<(), SetupError> {
    let refuse = |why: String| {
        Err(SetupError::Device {
            device: device.to_owned(),
            why,
        })
    };
    let meta = match std::fs::metadata(device) {
        Ok(meta) => meta,
        Err(e) => return refuse(format!("it cannot be looked at: {e}")),
    };
    if !meta.file_type().is_block_device() {
        return refuse("it is not a block device (`lsblk` lists them)".into());
    }
    let number = format!(
        "{}:{}",
        rustix::fs::major(meta.rdev()),
        rustix::fs::minor(meta.rdev())
    );
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("/proc/self/mountinfo")?;
    let at = |line: &str| {
        // Some file systems (btrfs) have a number of their own there, so their source counts, too.
        let (mount, from) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let source = std::fs::metadata(from.split(' ').nth(1)?);
        let same = fields.nth(2)? == number
            || source.is_ok_and(|source| {
                source.file_type().is_block_device() && source.rdev() == meta.rdev()
            });
        same.then(|| fields.nth(1).map(str::to_owned))?
    };
    if let Some(place) = mounts.lines().find_map(at) {
        return refuse(format!("it is mounted on {place}"));
    }
    let sys = PathBuf::from(format!("/sys/dev/block/{number}"));
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let holders = names(&sys.join("holders"));
    if !holders.is_empty() {
        return refuse(format!("it is in use by {}", holders.join(", ")));
    }
    let parts: Vec<String> = names(&sys)
        .into_iter()
        .filter(|name| sys.join(name).join("partition").exists())
        .collect();
    if !parts.is_empty() {
        return refuse(format!("it has partitions: {}", parts.join(", ")));
    }
    // Opened for itself alone, as a mount would: swap, RAID and the like hold it that way.
    let asked = Command::new("blkid")
        .args(["-p", "-o", "export"])
        .arg(device)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing("blkid")?;
    let found = String::from_utf8_lossy(&asked.stdout);
    let found: Vec<&str> = found
        .lines()
        .filter(|line| line.starts_with("TYPE=") || line.starts_with("PTTYPE="))
        .collect();
    match asked.status.code() {
        // Nothing is known of what is on it.
        Some(2) => Ok(()),
        Some(0) if found.is_empty() => Ok(()),
        _ => refuse(format!(
            "something is on it ({}); if nobody needs that, empty it: `wipefs --all {}`",
            if found.is_empty() {
                String::from_utf8_lossy(&asked.stderr).trim().to_owned()
            } else {
                found.join(", ")
            },
            device.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_pool_that_is_there_keeps_its_size_and_its_disk() {
        let pool = |key: &str, value: &str| StoragePool {
            config: BTreeMap::from([(key.to_owned(), value.to_owned())]),
            ..StoragePool::default()
        };
        let file = pool("size", "10737418240B");
        assert!(unchanged(&PoolChoice::File(None), &file).is_ok());
        assert!(unchanged(&PoolChoice::File(Some(10 << 30)), &file).is_ok());
        let other = unchanged(&PoolChoice::File(Some(20 << 30)), &file).unwrap_err();
        assert!(
            matches!(
                other,
                SetupError::Fixed {
                    what: "--pool-size",
                    ..
                }
            ),
            "{other}"
        );
        let disk = pool("volatile.initial_source", "/dev/sdb");
        assert!(unchanged(&PoolChoice::Device("/dev/sdb".into()), &disk).is_ok());
        assert!(unchanged(&PoolChoice::Device("/dev/sdc".into()), &disk).is_err());
        assert!(unchanged(&PoolChoice::Device("/dev/sdc".into()), &file).is_err());
    }

    #[tokio::test]
    async fn a_file_is_no_disk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = check_device(file.path()).await.unwrap_err().to_string();
        assert!(refused.contains("not a block device"), "{refused}");
    }

    #[test]
    fn sizes_are_said_in_gibibytes() {
        assert_eq!(Gib(10 << 30).to_string(), "10 GiB");
        assert_eq!(Gib((3 << 30) / 2).to_string(), "1.5 GiB");
    }
}
