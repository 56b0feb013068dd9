//! The storage pool of an installation: what a person chose, or the best driver in a sparse file of
//! what is free. Not what is in it.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use containarium_incus::{Client, Error as Incus, StoragePool, StoragePoolPost};
use tokio::process::Command;

use super::{
    Init, Report, SetupError, While as _,
    driver::{Candidates, Driver, abilities},
    init,
};
use crate::{Installation, create::LEAST_DISK, operations::away};

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

/// Refuses what cannot be, before anything is made.
pub(super) async fn check(ask: &Init, incus: &Client) -> Result<(), SetupError> {
    match &ask.pool {
        PoolChoice::File(Some(_)) | PoolChoice::Device(_) if ask.driver == Some(Driver::Dir) => {
            Err(SetupError::DirElsewhere)
        }
        PoolChoice::File(None) => Ok(()),
        PoolChoice::File(Some(size)) if *size < LEAST_POOL => Err(SetupError::SmallPool {
            asked: *size,
            least: LEAST_POOL,
        }),
        PoolChoice::File(Some(_)) => Ok(()),
        PoolChoice::Device(device) => check_device(device).await,
        PoolChoice::Existing(name) => match incus.storage_pool(name).await {
            Ok(pool) => fit(ask, &pool),
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

/// Whether a pool that is there is what was asked for, and limits disks where nothing else was.
fn fit(ask: &Init, pool: &StoragePool) -> Result<(), SetupError> {
    let able = abilities(&pool.driver, &pool.config);
    match ask.driver {
        Some(driver) => same_driver(driver, pool),
        None if able.has_quotas => Ok(()),
        None => Err(SetupError::Limitless {
            pool: pool.name.clone(),
            driver: pool.driver.clone(),
            cost: able.cost().unwrap_or_default(),
        }),
    }
}

fn same_driver(asked: Driver, pool: &StoragePool) -> Result<(), SetupError> {
    if asked.name() == pool.driver {
        return Ok(());
    }
    Err(SetupError::Fixed {
        what: "--pool-driver",
        asked: asked.to_string(),
        is: pool.driver.clone(),
    })
}

/// Whether there is no such pool.
pub(super) async fn is_missing(incus: &Client, name: &str) -> Result<bool, SetupError> {
    match incus.storage_pool(name).await {
        Ok(_) => Ok(false),
        Err(Incus::NotFound(_)) => Ok(true),
        Err(other) => Err(other).doing("looking for the storage pool"),
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
            warn(&found.name, &found.driver, &found.config, report);
            Ok(())
        }
        Ok(found) => {
            init::ours("storage pool", installation, &found.config)?;
            unchanged(ask, &found)?;
            report(&format!("storage pool {name}: there ({})", found.driver));
            Ok(())
        }
        Err(Incus::NotFound(_)) => first_of(incus, installation, ask, report).await,
        Err(other) => Err(other).doing("looking for the storage pool"),
    }
}

fn warn(name: &str, driver: &str, config: &BTreeMap<String, String>, report: Report<'_>) {
    if let Some(cost) = abilities(driver, config).cost() {
        report(&format!("WARNING: storage pool {name} ({driver}): {cost}"));
    }
}

/// Makes a pool with the first driver that can.
async fn first_of(
    incus: &Client,
    installation: &Installation,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    let server = incus.server().await.doing("asking Incus")?;
    let offered = &server.environment.storage_supported_drivers;
    let Candidates { drivers, absent } = Candidates::new(ask.driver, offered);
    let mut refused: Vec<String> = Vec::new();
    for driver in &absent {
        let why = format!(
            "{driver}: Incus does not offer it (its tools or the kernel's part are not there), so it was not tried"
        );
        report(&format!("storage pool {name}: {why}"));
        refused.push(why);
    }
    for driver in drivers {
        let (place, why) = place(ask, driver)?;
        let mut config = init::tagged(installation, []);
        let set = place.into_iter().chain(driver.config(LEAST_DISK));
        config.extend(set.map(|(key, value)| (key.to_owned(), value)));
        let post = StoragePoolPost {
            name: name.clone(),
            driver: driver.name().into(),
            description: init::description(installation),
            config,
        };
        match incus.create_storage_pool(&post).await {
            Ok(()) => {
                report(&format!("storage pool {name}: made, {driver} {why}"));
                warn(name, driver.name(), &post.config, report);
                return Ok(());
            }
            // What Incus did is not known where it did not say.
            Err(error) if ask.driver.is_some() || away(&error) => {
                return Err(error).doing("making the storage pool");
            }
            Err(error) => {
                report(&format!("storage pool {name}: {driver}: {error}"));
                refused.push(format!("{driver}: {error}"));
            }
        }
    }
    Err(SetupError::NoDriver(refused.join("; ")))
}

/// A setting of a pool.
type Setting = (&'static str, String);

/// Where a new pool is: its setting, and why there.
fn place(ask: &Init, driver: Driver) -> Result<(Option<Setting>, String), SetupError> {
    let sized = |size: u64| Some(("size", format!("{size}B")));
    Ok(match &ask.pool {
        PoolChoice::Device(device) => {
            let source = device.display().to_string();
            let why = format!("on {source}, which you chose");
            (Some(("source", source)), why)
        }
        PoolChoice::File(Some(size)) => {
            let why = format!(
                "in a sparse file of up to {}, which you chose{}",
                Gib(*size),
                beyond(*size, free_bytes(ask)?)
            );
            (sized(*size), why)
        }
        PoolChoice::File(None) | PoolChoice::Existing(_) if driver == Driver::Dir => {
            (None, "in directories where Incus keeps its files".into())
        }
        PoolChoice::File(None) | PoolChoice::Existing(_) => {
            let size = ((free_bytes(ask)? / 4 * 3) >> 30 << 30).max(LEAST_POOL);
            let why = format!(
                "in a sparse file of up to {} (three quarters of what is free; a disk of its own is \
                 faster: --pool-device)",
                Gib(size)
            );
            (sized(size), why)
        }
    })
}

/// What was chosen once stays: a pool cannot be moved under its containers.
fn unchanged(ask: &Init, found: &StoragePool) -> Result<(), SetupError> {
    if let Some(driver) = ask.driver {
        same_driver(driver, found)?;
    }
    same_place(&ask.pool, found)
}

fn same_place(asked: &PoolChoice, found: &StoragePool) -> Result<(), SetupError> {
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
    fn a_pool_that_is_there_keeps_its_size_and_its_disk() {
        let pool = |key: &str, value: &str| StoragePool {
            config: BTreeMap::from([(key.to_owned(), value.to_owned())]),
            ..StoragePool::default()
        };
        let file = pool("size", "10737418240B");
        assert!(same_place(&PoolChoice::File(None), &file).is_ok());
        assert!(same_place(&PoolChoice::File(Some(10 << 30)), &file).is_ok());
        let other = same_place(&PoolChoice::File(Some(20 << 30)), &file).unwrap_err();
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
        assert!(same_place(&PoolChoice::Device("/dev/sdb".into()), &disk).is_ok());
        assert!(same_place(&PoolChoice::Device("/dev/sdc".into()), &disk).is_err());
        assert!(same_place(&PoolChoice::Device("/dev/sdc".into()), &file).is_err());
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
