//! What happened, in its order: written in the transaction that made it happen, kept for a week.

use containarium_contract::{Event, State, Subject};
use rusqlite::{Connection, Row, params};
use tokio::sync::watch;

use super::{Record, Store, StoreError, Tx, operations::unreadable, sound};
use crate::clock;

/// How long events and ended operations are kept, seconds.
pub(super) const KEPT: u64 = 7 * 24 * 3600;
/// Events that are read at a time.
const BATCH: usize = 256;

/// Something that happened, and who may know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Occurred {
    pub(crate) seq: u64,
    pub(crate) target: String,
    /// `None`: admins only.
    pub(crate) owner: Option<Subject>,
    pub(crate) event: Event,
}

/// The number of the last event; 0 before the first.
pub(super) fn last(db: &Connection) -> Result<u64, StoreError> {
    // The sequence goes on when old events are gone.
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

fn read(row: &Row<'_>) -> Result<Occurred, StoreError> {
    let owner = row.get::<_, Option<String>>("owner")?;
    let owner = owner.map(|text| text.parse()).transpose();
    let json = row.get_ref("json")?.as_str().map_err(|e| unreadable(&e))?;
    Ok(Occurred {
        seq: row.get("seq")?,
        target: row.get("target")?,
        owner: owner.map_err(|e| unreadable(&e))?,
        event: serde_json::from_str(json).map_err(|e| unreadable(&e))?,
    })
}

/// Reads every row, and keeps none.
pub(super) fn read_all(db: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT seq, target, owner, json FROM events";
    sound::every(db, "event", sql, |row| read(row).map(drop))
}

impl Tx<'_> {
    /// Notes that something happened.
    pub(crate) fn tell(
        &mut self,
        target: &str,
        owner: Option<&Subject>,
        event: &Event,
        now: u64,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(event).map_err(|e| unreadable(&e))?;
        let mut insert = self.tx.prepare_cached(
            "INSERT INTO events (at, target, owner, json) VALUES (?1, ?2, ?3, ?4)",
        )?;
        insert.execute(params![now, target, owner.map(Subject::as_str), json])?;
        drop(insert);
        self.last_event = u64::try_from(self.tx.last_insert_rowid()).ok();
        Ok(())
    }
}

impl Tx<'_> {
    /// Notes that a container came to be in this state.
    pub(crate) fn tell_state(
        &mut self,
        record: &Record,
        state: State,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let event = Event::Container {
            username: record.username.clone(),
            state,
            detail,
            at: clock::rfc3339(clock::now_ms()),
        };
        let target = record.username.as_str();
        self.tell(target, Some(&record.owner), &event, clock::now())
    }
}

impl Store {
    /// Changes with each event, to its number.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The next events after that number; also whether some after it are gone already.
    pub(crate) async fn events_after(&self, seq: u64) -> Result<(Vec<Occurred>, bool), StoreError> {
        // A number that SQLite cannot hold lies in the future, too.
        let seq = seq.min(i64::MAX as u64);
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT seq, target, owner, json FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let rows = query.query_map(params![seq, BATCH as u64], |row| Ok(read(row)))?;
            let found: Vec<Occurred> = rows.map(|row| row?).collect::<Result<_, _>>()?;
            let first = found.first().map(|first| first.seq);
            // Numbers have no holes but where the oldest were removed; one of a store that was
            // brought back from an old copy lies in the future.
            let lost = first.map_or(last(db)? != seq, |first| first != seq + 1);
            Ok((found, lost))
        })
        .await
    }

    /// Forgets events and ended operations of long ago.
    pub(crate) async fn prune(&self, now: u64) -> Result<(), StoreError> {
        let oldest = now.saturating_sub(KEPT);
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute("DELETE FROM events WHERE at < ?1", [oldest])?;
            tx.execute(
                "DELETE FROM operations WHERE updated_at < ?1
                 AND state IN ('succeeded', 'failed', 'cancelled')",
                [oldest * 1000],
            )?;
            Ok(tx.commit()?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_was_away_until_events_were_forgotten_is_told_so() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::make(place.path()).unwrap();
        let tell = async |now| {
            let written = store.write(move |tx| tx.tell("alice", None, &Event::Reset {}, now));
            written.await.unwrap();
        };
        let seen = async |after| {
            let (found, lost) = store.events_after(after).await.unwrap();
            let numbers: Vec<u64> = found.iter().map(|occurred| occurred.seq).collect();
            (numbers, lost)
        };
        let later = 1000 + KEPT;
        tell(1000).await;
        tell(1000).await;
        tell(later).await;
        assert_eq!(seen(0).await, (vec![1, 2, 3], false));

        store.prune(later).await.unwrap();
        assert_eq!(seen(0).await, (vec![1, 2, 3], false), "a week is not over");
        store.prune(later + 1).await.unwrap();
        assert_eq!(seen(0).await, (vec![3], true));
        assert_eq!(seen(1).await, (vec![3], true));
        assert_eq!(seen(2).await, (vec![3], false), "it has missed nothing");
        store.prune(later + KEPT + 1).await.unwrap();
        assert_eq!(seen(2).await, (vec![], true));
        assert_eq!(seen(3).await, (vec![], false));
        tell(later + KEPT + 1).await;
        assert_eq!(seen(3).await, (vec![4], false), "numbers go on");
    }
}
