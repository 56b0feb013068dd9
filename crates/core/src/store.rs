//! The store: SQLite, one file. It owns intent (what should be, whose it is, what is under way);
//! the engine owns existence. Not a cache of the engine.

mod containers;
mod installation;
mod operations;

use std::{
    fs::OpenOptions,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};

pub use containers::{Phase, Record, Spec};
pub(crate) use containers::{Reservation, Reserved};
pub(crate) use operations::Change;
pub use operations::Step;

/// The version of the tables below, kept in `user_version`.
const SCHEMA: i64 = 1;

const TABLES: &str = "
CREATE TABLE installation (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  json TEXT NOT NULL,
  last_address TEXT
) STRICT;
CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'deleting')),
  spec TEXT NOT NULL,
  address TEXT NOT NULL UNIQUE,
  uid_base INTEGER NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE operations (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('create', 'delete')),
  container TEXT NOT NULL,
  username TEXT NOT NULL,
  actor TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
  step TEXT NOT NULL,
  error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX operations_of_container ON operations (container);
";

/// A handle on the store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    dir: Arc<Path>,
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
    /// There is no installation yet.
    #[error("this state directory has no installation yet")]
    NotInitialised,
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not hold what was written into it.
    #[error("the store holds a row that cannot be read: {0}")]
    Unreadable(String),
}

impl Store {
    /// Opens the store in `dir`, and makes both where they are missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let file = dir.join("containarium.db");
        // Made by us and not by SQLite, which would let others read it; its log takes the mode over.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .and_then(|()| {
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(&file)
            })
            .map_err(|source| StoreError::Directory {
                path: dir.to_owned(),
                source,
            })?;
        let mut connection = Connection::open(file)?;
        // FULL, because what is answered as done must survive a power cut.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;",
        )?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA {
            return Err(StoreError::Newer { found });
        }
        if found == 0 {
            let tx = connection.transaction()?;
            tx.execute_batch(TABLES)?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
            tx.commit()?;
        }
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            dir: dir.into(),
        })
    }

    /// Opens a store that is there, and makes and upgrades nothing: for whoever only looks.
    pub(crate) fn existing(dir: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(dir.join("containarium.db"), flags)?;
        connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;")?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > SCHEMA {
            return Err(StoreError::Newer { found });
        }
        Ok(Self {
            dir: dir.into(),
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Whether SQLite finds its own file in order.
    pub(crate) async fn whole(&self) -> Result<(), StoreError> {
        let said: String = self
            .run(|db| Ok(db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?))
            .await?;
        if said == "ok" {
            Ok(())
        } else {
            Err(StoreError::Unreadable(said))
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
        Store::open(&state).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("containarium.db")), 0o600);
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        let db = Connection::open(dir.path().join("containarium.db")).unwrap();
        db.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        let refused = Store::open(dir.path()).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found } if found == SCHEMA + 1));
    }
}
