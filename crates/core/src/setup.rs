//! Preparing an Incus for containers, and taking all of it away again. Done by a person once, by
//! `containarium init`; not part of the daemon.

mod base_image;
pub(crate) mod driver;
mod images;
mod init;
pub(crate) mod pool;
mod proof;
mod purge;
mod recover;
pub(crate) mod routes;
pub(crate) mod subnet;
pub(crate) mod uids;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{StoreError, images::ImageError};

pub use driver::Driver;
pub use init::{Init, init, lay_out};
pub use pool::PoolChoice;
pub use purge::purge;
pub use subnet::Subnet;

/// What a setup is doing, told as it goes.
pub type Report<'a> = &'a (dyn Fn(&str) + Sync);

/// Why a setup stopped.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Incus said no, or nothing.
    #[error("{what}: {source}")]
    Engine {
        /// What was being done.
        what: String,
        /// What Incus said.
        source: containarium_incus::Error,
    },
    /// This client may not do what a setup must.
    #[error("Incus does not trust this user; run it as root or as a member of incus-admin")]
    Untrusted,
    /// More than one machine.
    #[error("this Incus is a cluster; Containarium uses an Incus that is alone")]
    Clustered,
    /// An object of that name is there and not ours.
    #[error(
        "the {kind} `{name}` exists and belongs to {owner}; choose another --name, or the \
         --state-dir of that installation"
    )]
    Foreign {
        /// `project`, `storage pool` or `network`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Whose it is, as far as its tag says.
        owner: String,
    },
    /// An installation of that name is there, and the store that knew it is not.
    #[error(
        "the project `{name}` belongs to the installation {id}, {}",
        lost(.state_dir, .elsewhere.as_deref())
    )]
    Lost {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// The state directory, which does not know it.
        state_dir: PathBuf,
        /// One that does.
        elsewhere: Option<PathBuf>,
    },
    /// It is alive.
    #[error(
        "the project `{name}` belongs to an installation whose daemon runs now, with the state \
         directory {}; stop that one first, or choose another --name", .state_dir.display()
    )]
    Served {
        /// Its name.
        name: String,
        /// Its state directory.
        state_dir: PathBuf,
    },
    /// There is nothing to take up.
    #[error("--recover: this Incus has no installation called `{0}`")]
    NothingToRecover(String),
    /// An older version did not write everything down in Incus.
    #[error("--recover: the {what} of the installation `{name}` cannot be known: {why}")]
    Unrecoverable {
        /// Its name.
        name: String,
        /// What is missing.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A bridge's name is an interface's, and so short.
    #[error("a --name is 1 to 15 of a-z and 0-9 and starts with a letter: `{0}` is not")]
    Name(String),
    /// Every candidate overlaps a route of the host or a network of Incus.
    #[error(
        "no /16 between 10.64.0.0 and 10.255.0.0 is free of the host's routes and networks; choose \
         one with --subnet"
    )]
    NoSubnet,
    /// The chosen subnet is in use.
    #[error("--subnet {asked} overlaps {by}")]
    SubnetTaken {
        /// What was chosen.
        asked: Subnet,
        /// What has it.
        by: String,
    },
    /// It cannot be known what is free.
    #[error("this host's routes cannot be read: {0}")]
    NoRoutes(String),
    /// A disk that must not be formatted.
    #[error("--pool-device {device}: {why}")]
    Device {
        /// The disk.
        device: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is no pool of that name.
    #[error("--pool {name}: this Incus has no such storage pool; it has: {}", .there.join(", "))]
    NoPool {
        /// What was chosen.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A pool without limits, which nobody has said is meant.
    #[error(
        "--pool {pool}: its driver is {driver}: {cost}. Make a pool of zfs, lvm or btrfs, or say that \
         it is meant so: --pool-driver {driver}"
    )]
    Limitless {
        /// Its name.
        pool: String,
        /// What it is made with.
        driver: String,
        /// What that costs.
        cost: String,
    },
    /// Directories have neither a size nor a disk.
    #[error(
        "--pool-driver dir: its containers are directories where Incus keeps its files, so it takes \
         neither --pool-size nor --pool-device"
    )]
    DirElsewhere,
    /// Nothing to store containers with.
    #[error(
        "no storage pool that limits disks can be made: {0}. Install btrfs-progs, zfsutils-linux, or \
         lvm2 with thin-provisioning-tools, restart Incus and run init again; or do without limits: \
         --pool-driver dir"
    )]
    NoDriver(String),
    /// The storage does not do what its driver says.
    #[error(
        "storage pool {pool}: {found}. Users would have no limit, so init stops here; all it made is \
         there for its next run"
    )]
    Unproven {
        /// Its name.
        pool: String,
        /// What was tried and what came of it.
        found: String,
    },
    /// Not even the images would fit.
    #[error(
        "--pool-size: {} is too little; at least {} is needed for the images and a few containers",
        pool::Gib(*.asked), pool::Gib(*.least)
    )]
    SmallPool {
        /// What was chosen.
        asked: u64,
        /// What is needed.
        least: u64,
    },
    /// What was chosen at the first init is for good.
    #[error(
        "{what} is {is} here and {asked} was asked for: it is chosen once, because containers \
         depend on it"
    )]
    Fixed {
        /// The option.
        what: &'static str,
        /// What it is.
        is: String,
        /// What was asked.
        asked: String,
    },
    /// No mapping for unprivileged containers.
    #[error(
        "/etc/subuid gives root no range that holds user ids for containers, apart from those that \
         others on this Incus have: {0}"
    )]
    NoUids(String),
    /// A command on the host or in a builder failed.
    #[error("{what} failed; its last lines:\n{evidence}")]
    Command {
        /// What was run.
        what: String,
        /// The end of what it printed.
        evidence: String,
    },
    /// A file or program of the host cannot be used.
    #[error("{what}: {source}")]
    Host {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no image to make containers from.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Purging needs the installation's name, so that nobody purges the wrong one.
    #[error("the installation is called `{0}`; nothing was removed")]
    WrongName(String),
}

impl SetupError {
    /// The command that goes on from here, where there is one.
    pub fn command(&self) -> Option<String> {
        let Self::Lost {
            name,
            state_dir,
            elsewhere,
            ..
        } = self
        else {
            return None;
        };
        Some(match elsewhere {
            None => recover::command(name, state_dir),
            Some(dir) => format!(
                "containarium init --name {name} --state-dir {}",
                dir.display()
            ),
        })
    }
}

fn lost(state_dir: &Path, elsewhere: Option<&Path>) -> String {
    match elsewhere {
        Some(dir) => format!(
            "whose store is in {}; use that --state-dir, choose another --name, or, where that \
             directory is to be given up, add --recover",
            dir.display()
        ),
        None => format!(
            "of which {} knows nothing: its store is lost, or elsewhere",
            state_dir.display()
        ),
    }
}

/// Says what was being done when something failed.
trait While<T> {
    fn doing(self, what: impl fmt::Display) -> Result<T, SetupError>;
}

impl<T> While<T> for Result<T, containarium_incus::Error> {
    fn doing(self, what: impl fmt::Display) -> Result<T, SetupError> {
        self.map_err(|source| SetupError::Engine {
            what: what.to_string(),
            source,
        })
    }
}

impl<T> While<T> for Result<T, io::Error> {
    fn doing(self, what: impl fmt::Display) -> Result<T, SetupError> {
        self.map_err(|source| SetupError::Host {
            what: what.to_string(),
            source,
        })
    }
}

/// The last lines of a log, as evidence.
fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}
