//! The store: SQLite, one file. It owns intent (what should be, whose it is, what is under way);
//! the engine owns existence. Not a cache of the engine.

mod containers;
mod events;
mod installation;
mod keys;
mod lock;
mod mirror;
mod operations;
mod schema;
mod sound;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use containarium_contract::IdempotencyKey;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::watch;

pub(crate) use containers::{Candidate, Reservation, Reserved, instance_name, mac};
pub use containers::{Phase, Record, Spec};
pub(crate) use events::Occurred;
pub(crate) use keys::Request;
pub use lock::Lock;
pub(crate) use operations::{Op, StepRecord};
pub use sound::{Harm, Unsound};

use mirror::Mirror;
use schema::SCHEMA;

/// A handle on the store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    dir: Arc<Path>,
    mirror: Arc<Mirror>,
    /// The number of the last event.
    news: Arc<watch::Sender<u64>>,
}

/// A transaction that changes something. What it did is in the mirror once it is durable.
pub(crate) struct Tx<'db> {
    tx: Transaction<'db>,
    touched: BTreeSet<String>,
    last_event: Option<u64>,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state directory, or the store in it, cannot be made.
    #[error("the state directory {path} cannot be used: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tables were made by a newer Containarium.
    #[error("the store has schema {found}, this Containarium knows {SCHEMA}: upgrade Containarium")]
    Newer {
        /// The schema's version in the file.
        found: i64,
    },
    /// The tables were made by an older Containarium, and whoever only looks does not change them.
    #[error(
        "the store has schema {found}, this Containarium's is {SCHEMA}: start the daemon, which brings it up to date"
    )]
    Older {
        /// The schema's version in the file.
        found: i64,
    },
    /// There is no installation yet.
    #[error("this state directory has no installation yet")]
    NotInitialised,
    /// The key was used for another request.
    #[error("the Idempotency-Key `{0}` was used for another request")]
    KeyReused(IdempotencyKey),
    /// Somebody has the name, the address or the user ids.
    #[error("taken: {0}")]
    Taken(rusqlite::Error),
    /// The store's file is not what an installation wrote.
    #[error("{} {}", .0.file.display(), .0.harm)]
    Unsound(Unsound),
    /// A daemon has this state directory already.
    #[error(
        "a daemon{} works with the state directory {} already, and there can be one only; stop that \
         one, or give this one a --state-dir of its own",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), .path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process, where it has said so.
        pid: Option<u32>,
    },
    /// The state directory's file system has no room. Nothing was changed.
    #[error("the disk that the server remembers on is full")]
    Full,
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// A row does not hold what was written into it.
    #[error("the store holds a row that cannot be read: {0}")]
    Unreadable(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(_) | None => Self::Sqlite(error),
        }
    }
}

impl Store {
    /// Opens the store in `dir`, and makes both where they are missing: for `init` and a simulation.
    pub fn make(dir: &Path) -> Result<Self, StoreError> {
        sound::make(dir, schema::bring_up_to_date)?;
        Self::open(dir)
    }

    /// Opens the store that `init` made, and brings it up to date. One that is missing, or not as it
    /// was left, is refused and left alone.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let (mut connection, found) = sound::open(dir)?;
        // Before anything is written, and be it the journal's mode.
        if found > SCHEMA {
            return Err(StoreError::Newer { found });
        }
        // FULL, because what is answered as done must survive a power cut.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )?;
        schema::bring_up_to_date(&mut connection)?;
        Self::of(connection, dir)
    }

    fn of(connection: Connection, dir: &Path) -> Result<Self, StoreError> {
        let mirror = Mirror::of(&connection).map_err(|e| sound::row(dir, e))?;
        let last = events::last(&connection)?;
        sound::keeps_its_log(&connection, false)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            dir: dir.into(),
            mirror: Arc::new(mirror),
            news: Arc::new(watch::Sender::new(last)),
        })
    }

    /// Opens a store that is there, and makes and upgrades nothing: for whoever only looks.
    pub(crate) fn existing(dir: &Path) -> Result<Self, StoreError> {
        let (connection, found) = sound::open(dir)?;
        match found {
            SCHEMA => Self::of(connection, dir),
            found if found < SCHEMA => Err(StoreError::Older { found }),
            found => Err(StoreError::Newer { found }),
        }
    }

    /// The state directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `work` off the async threads, because a durable write waits for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            // A panic in between leaves no half transaction: SQLite rolled it back.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => result,
            Err(e) => Err(StoreError::Unreadable(format!(
                "the store's task ended: {e}"
            ))),
        }
    }

    /// Does all of `work` durably, or nothing of it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (mirror, news) = (Arc::clone(&self.mirror), Arc::clone(&self.news));
        self.run(move |db| {
            let mut tx = Tx {
                tx: db.transaction_with_behavior(TransactionBehavior::Immediate)?,
                touched: BTreeSet::new(),
                last_event: None,
            };
            let done = work(&mut tx)?;
            let Tx {
                tx,
                touched,
                last_event,
            } = tx;
            let now = touched
                .into_iter()
                .map(|id| Ok((containers::row(&tx, &id)?, id)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            tx.commit()?;
            // Still the only one who writes, so the mirror goes through the same states in order.
            mirror.apply(now);
            if let Some(last) = last_event {
                news.send_replace(last);
            }
            Ok(done)
        })
        .await
    }

    /// Whether the store can be read, for `/ready`.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run(|db| Ok(db.query_row("SELECT count(*) FROM containers", [], |_| Ok(()))?))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_remembered_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        Store::make(&state).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("containarium.db")), 0o600);
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::make(dir.path()).unwrap());
        let file = dir.path().join("containarium.db");
        let db = Connection::open(&file).unwrap();
        db.pragma_update(None, "user_version", schema::SCHEMA + 1)
            .unwrap();
        // With the change still in its log, as a daemon that was killed leaves it, and without one.
        let killed = tempfile::tempdir().unwrap();
        for name in ["containarium.db", "containarium.db-wal"] {
            std::fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
        }
        drop(db);
        for place in [killed.path(), dir.path()] {
            let bytes = || {
                ["containarium.db", "containarium.db-wal"]
                    .map(|name| std::fs::read(place.join(name)).unwrap_or_default())
            };
            let before = bytes();
            assert_eq!(before[1].is_empty(), place == dir.path(), "the log");
            let refusals = [
                Store::open(place).unwrap_err(),
                Store::make(place).unwrap_err(),
                Store::existing(place).unwrap_err(),
            ];
            for refused in refusals {
                assert!(
                    matches!(refused, StoreError::Newer { found } if found == schema::SCHEMA + 1),
                    "{refused}"
                );
                assert!(bytes() == before, "it was written into");
            }
        }
    }
}
