//! Whether the store's file is what an installation wrote, and what to do where it is not. It is
//! never made anew but by `init`: an empty store would forget every container.
//!
//! What it cannot see: SQLite keeps no checksums, so a byte that was flipped inside a value is found
//! only where the value does not parse any more.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, config::DbConfig};

use super::{Lock, Store, StoreError, events, keys, lock, operations};
use crate::secret;

/// The store, in the state directory.
pub(super) const FILE: &str = "containarium.db";
/// What it is called while it is made, so that one that is there is whole.
const NEW: &str = "containarium.db.new";
/// How every SQLite file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A store that is not what an installation wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// The store's file.
    pub file: PathBuf,
    /// What is so.
    pub harm: Harm,
}

/// What is wrong with a store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It is not there, and this file beside it says that there was one.
    Gone(&'static str),
    /// It has no bytes.
    Empty,
    /// Something else has its name, such as a directory.
    NoFile,
    /// It is no SQLite file.
    Foreign,
    /// It is one, and our tables are not in it.
    NoTables,
    /// SQLite finds it damaged: cut off, or changed inside.
    Damaged(String),
    /// A row does not hold what was written into it.
    Row(String),
    /// This user may not read and write it.
    Denied,
    /// It, or its file system, cannot be written.
    ReadOnly,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(beside) => write!(
                f,
                "is missing, and {beside} beside it is of an installation that had one"
            ),
            Self::Empty => f.write_str("is empty: what an installation remembers was in it"),
            Self::NoFile => f.write_str("is no file"),
            Self::Foreign => f.write_str("is no SQLite database: something else was written there"),
            Self::NoTables => f.write_str("does not hold the tables of an installation"),
            Self::Damaged(said) => write!(f, "is damaged; SQLite says: {said}"),
            Self::Row(said) => write!(f, "is damaged; a row cannot be read: {said}"),
            Self::Denied => f.write_str("may not be read and written by this user"),
            Self::ReadOnly => {
                f.write_str("cannot be written: it, or its file system, is read-only")
            }
        }
    }
}

impl Unsound {
    /// What to do, as one sentence and the commands for it.
    pub fn repair(&self) -> (&'static str, Vec<String>) {
        let file = self.file.display();
        let dir = self.file.parent().unwrap_or(&self.file);
        let option = if dir == Path::new(secret::STATE_DIR) {
            String::new()
        } else {
            format!(" --state-dir {}", dir.display())
        };
        let place = dir.display();
        match &self.harm {
            Harm::Denied => (
                "run it as the user whose file it is, which is root unless somebody chose another",
                vec![format!("ls -l {file}")],
            ),
            Harm::ReadOnly => (
                "make it writable",
                vec![
                    format!("ls -l {file}"),
                    format!("findmnt --target {place}"),
                    format!("mount -o remount,rw \"$(findmnt -no TARGET --target {place})\""),
                ],
            ),
            Harm::Gone(_)
            | Harm::Empty
            | Harm::NoFile
            | Harm::Foreign
            | Harm::NoTables
            | Harm::Damaged(_)
            | Harm::Row(_) => {
                let mut commands = vec![
                    // Its log, too: beside another file it would be read into that.
                    format!("mkdir {place}/torn && mv {file}* {place}/torn/"),
                    format!("cp A_COPY {file}  # a backup; without one, instead of this:"),
                    format!("containarium init --recover{option}"),
                    "containarium admin adopt --all  # when the daemon runs".to_owned(),
                ];
                if matches!(self.harm, Harm::Gone(_)) && !log(&self.file).exists() {
                    commands.remove(0);
                }
                (
                    "no container is lost: bring back a copy of the file, or take up the installation \
                     from what Incus has",
                    commands,
                )
            }
        }
    }
}

fn log(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn unsound(file: &Path, harm: Harm) -> StoreError {
    StoreError::Unsound(Unsound {
        file: file.to_owned(),
        harm,
    })
}

/// The store's file in `dir`, if it can be one. Changes nothing, and does not open it as SQLite
/// would, which replays a log that may be of another file.
pub(super) fn look(dir: &Path) -> Result<PathBuf, StoreError> {
    let file = dir.join(FILE);
    let mut head = [0; MAGIC.len()];
    let read = File::open(&file).and_then(|mut open| {
        let meta = open.metadata()?;
        if !meta.is_file() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if meta.len() == 0 {
            return Ok(false);
        }
        open.read_exact(&mut head).map(|()| true)
    });
    let harm = match read {
        Ok(true) if head == MAGIC => return Ok(file),
        Ok(true) => Harm::Foreign,
        Ok(false) => Harm::Empty,
        Err(e) => match e.kind() {
            ErrorKind::NotFound => match witness(dir) {
                Some(beside) => Harm::Gone(beside),
                None => return Err(StoreError::NotInitialised),
            },
            ErrorKind::UnexpectedEof => Harm::Foreign,
            ErrorKind::IsADirectory => Harm::NoFile,
            ErrorKind::PermissionDenied => Harm::Denied,
            _ => {
                return Err(StoreError::Directory {
                    path: dir.to_owned(),
                    source: e,
                });
            }
        },
    };
    Err(unsound(&file, harm))
}

/// What says that there was a store in this directory.
fn witness(dir: &Path) -> Option<&'static str> {
    if log(&dir.join(FILE)).exists() {
        Some("containarium.db-wal")
    } else if lock::was_taken(dir) {
        Some("daemon.lock")
    } else {
        secret::own_file(dir).exists().then_some("jwt.secret")
    }
}

/// Opens what [`look`] found, and has SQLite look through all of it; its version.
pub(super) fn open(dir: &Path) -> Result<(Connection, i64), StoreError> {
    let file = look(dir)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(&file, flags).and_then(|connection| {
        connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;")?;
        // What is refused is left as it is: not even its log is written back into it.
        keeps_its_log(&connection, true)?;
        let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let read_only = connection.is_readonly("main")?;
        Ok((connection, said, found, read_only))
    });
    let (connection, said, found, read_only) = opened.map_err(|e| told(&file, e))?;
    let harm = if said != "ok" {
        Harm::Damaged(said)
    } else if read_only {
        Harm::ReadOnly
    } else if found == 0 {
        Harm::NoTables
    } else {
        return Ok((connection, found));
    };
    Err(unsound(&file, harm))
}

/// Whether the log stays beside the file when the last who has it open closes it.
pub(super) fn keeps_its_log(connection: &Connection, keeps: bool) -> rusqlite::Result<()> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps);
    set.map(drop)
}

/// What SQLite's words mean for the file.
fn told(file: &Path, error: rusqlite::Error) -> StoreError {
    let harm = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => Harm::Damaged(error.to_string()),
        Some(ErrorCode::NotADatabase) => Harm::Foreign,
        Some(ErrorCode::PermissionDenied) => Harm::Denied,
        Some(ErrorCode::ReadOnly) => Harm::ReadOnly,
        // It needs a file of its own beside the store, and says so of the store.
        Some(ErrorCode::CannotOpen) => match OpenOptions::new().append(true).open(file) {
            Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => Harm::ReadOnly,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Harm::Denied,
            Err(_) | Ok(_) => return error.into(),
        },
        Some(_) | None => return error.into(),
    };
    unsound(file, harm)
}

/// Makes an empty store with what `lay` puts into it, where there is none; for `init` and the
/// simulation alone. One that is there is whole: it gets its name last.
pub(super) fn make(
    dir: &Path,
    lay: impl FnOnce(&mut Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::Directory {
        path: dir.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    let (file, new) = (dir.join(FILE), dir.join(NEW));
    // A log without its store is read into the next file of that name.
    if file.symlink_metadata().is_ok() || log(&file).exists() {
        return Ok(());
    }
    // Made by us and not by SQLite, which would let others read it; its log takes the mode over.
    fresh(&new).map_err(failed)?;
    let mut connection = Connection::open(&new)?;
    connection.execute_batch("PRAGMA synchronous = FULL;")?;
    lay(&mut connection)?;
    connection.close().map_err(|(_, e)| e)?;
    fs::rename(&new, &file)
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(failed)
}

/// An empty file for its owner only; what an `init` that was killed left of one is gone.
fn fresh(path: &Path) -> io::Result<()> {
    for left in [path.to_owned(), path.with_extension("new-journal")] {
        match fs::remove_file(left) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map(drop)
}

impl Store {
    /// For a daemon: the store of `dir`, sound to its last row, and the right to be the only daemon
    /// on it.
    pub async fn alone(dir: &Path) -> Result<(Self, Lock), StoreError> {
        // First, so that nothing is written into a directory without an installation.
        look(dir)?;
        let lock = Lock::take(dir).map_err(|error| match error {
            StoreError::Directory { source, .. }
                if source.kind() == ErrorKind::ReadOnlyFilesystem =>
            {
                unsound(&dir.join(FILE), Harm::ReadOnly)
            }
            other => other,
        })?;
        let store = Self::open(dir)?;
        store.readable().await?;
        Ok((store, lock))
    }

    /// Whether every row is what was written; the containers were read when it was opened. What is not
    /// told now would be told to whoever lists it, as a failure that he can do nothing about.
    pub(crate) async fn readable(&self) -> Result<(), StoreError> {
        let read = async {
            self.installation().await.map(drop)?;
            self.run(|db| {
                operations::read_all(db)?;
                keys::read_all(db)?;
                events::read_all(db)
            })
            .await
        };
        read.await.map_err(|e| row(self.dir(), e))
    }
}

/// Reads each row that `sql` finds, one at a time; `what` says what one is.
pub(super) fn every(
    db: &Connection,
    what: &str,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    use rusqlite::Error as Said;
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        read(row).map_err(|error| match error {
            StoreError::Unreadable(said) => StoreError::Unreadable(format!("{what}: {said}")),
            // A number that is none of ours, such as one below zero.
            StoreError::Sqlite(
                said @ (Said::FromSqlConversionFailure(..)
                | Said::IntegralValueOutOfRange(..)
                | Said::InvalidColumnType(..)
                | Said::Utf8Error(..)),
            ) => StoreError::Unreadable(format!("{what}: {said}")),
            other => other,
        })?;
    }
    Ok(())
}

/// The same error, of the file that has such a row.
pub(super) fn row(dir: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unreadable(said) => unsound(&dir.join(FILE), Harm::Row(said)),
        other => other,
    }
}

#[cfg(test)]
#[path = "sound_tests.rs"]
mod tests;
