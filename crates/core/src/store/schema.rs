//! The tables, and how those of an older Containarium become them.

use rusqlite::Connection;

use super::StoreError;

/// The version of the tables, kept in `user_version`.
pub(super) const SCHEMA: i64 = 3;

/// What brings a store from each version to the next.
const STEPS: [&str; 3] = [
    "
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
CREATE TABLE operations (id TEXT PRIMARY KEY) STRICT;
",
    // Operations of the first version were a log that nothing read.
    "
DROP TABLE operations;
ALTER TABLE containers RENAME TO containers_1;
CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL,
  owner TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'deleting', 'deleted')),
  spec TEXT NOT NULL,
  address TEXT NOT NULL UNIQUE,
  uid_base INTEGER NOT NULL UNIQUE,
  running INTEGER NOT NULL CHECK (running IN (0, 1)),
  kept_until INTEGER,
  fault TEXT,
  exit TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CHECK ((phase = 'deleted') = (kept_until IS NOT NULL))
) STRICT;
INSERT INTO containers
  SELECT id, username, owner, phase, spec, address, uid_base, 0, NULL, NULL, NULL, created_at, updated_at
  FROM containers_1;
DROP TABLE containers_1;
CREATE UNIQUE INDEX one_container_a_name ON containers (username) WHERE phase <> 'deleted';
CREATE TABLE operations (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  container TEXT,
  owner TEXT,
  actor TEXT NOT NULL,
  cause TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
  work TEXT NOT NULL,
  steps TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  error TEXT,
  result TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX unfinished_operations ON operations (id)
  WHERE state IN ('queued', 'running', 'cancelling');
CREATE INDEX operations_by_target ON operations (target, id);
CREATE INDEX operations_by_end ON operations (updated_at);
CREATE TABLE keys (
  subject TEXT NOT NULL,
  key TEXT NOT NULL,
  digest BLOB NOT NULL,
  operation TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (subject, key)
) STRICT;
CREATE INDEX keys_by_age ON keys (created_at);
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  target TEXT NOT NULL,
  owner TEXT,
  json TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_age ON events (at);
",
    "ALTER TABLE operations ADD COLUMN started_at INTEGER;",
];

/// The version of a store's tables; 0 where there are none.
pub(super) fn version(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Makes the tables, or brings older ones up to date: all in one transaction.
pub(super) fn bring_up_to_date(db: &mut Connection) -> Result<(), StoreError> {
    let found = version(db)?;
    if found > SCHEMA {
        return Err(StoreError::Newer { found });
    }
    let done = usize::try_from(found).unwrap_or(0);
    let Some(left) = STEPS.get(done..).filter(|left| !left.is_empty()) else {
        return Ok(());
    };
    let tx = db.transaction()?;
    for step in left {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", SCHEMA)?;
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_store_keeps_its_containers() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(STEPS[0]).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute_batch(
            "INSERT INTO containers VALUES ('01', 'alice', 'bob', 'ready', '{}', '10.0.0.10', 65536, 5, 6)",
        )
        .unwrap();
        bring_up_to_date(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), SCHEMA);
        let (name, phase, updated): (String, String, u64) = db
            .query_row(
                "SELECT username, phase, updated_at FROM containers",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(
            (name.as_str(), phase.as_str(), updated),
            ("alice", "ready", 6)
        );
    }

    #[test]
    fn an_older_store_keeps_its_operations() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(&STEPS[..2].concat()).unwrap();
        db.pragma_update(None, "user_version", 2).unwrap();
        db.execute_batch(
            "INSERT INTO operations VALUES ('01', 'stop', 'alice', NULL, NULL, 'bob', 'c', 'queued',
             '{}', '[]', 1, 9, NULL, NULL, 5, 6)",
        )
        .unwrap();
        bring_up_to_date(&mut db).unwrap();
        let (state, started): (String, Option<u64>) = db
            .query_row("SELECT state, started_at FROM operations", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!((state.as_str(), started), ("queued", None));
    }

    #[test]
    fn an_upgrade_that_fails_leaves_the_older_store() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(STEPS[0]).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        // In the way of the last statement.
        db.execute_batch("CREATE TABLE events_by_age (x)").unwrap();
        bring_up_to_date(&mut db).unwrap_err();
        assert_eq!(version(&db).unwrap(), 1);
        db.query_row("SELECT count(*) FROM containers", [], |_| Ok(()))
            .unwrap();
    }
}
