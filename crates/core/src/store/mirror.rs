//! The containers table in memory, as it was last committed: what reads are answered from. One
//! process owns the store, and every write goes through it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use containarium_contract::Username;
use rusqlite::Connection;

use super::{Phase, Record, StoreError, containers};

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Mirror(RwLock<Rows>);

#[derive(Debug, Default)]
pub(super) struct Rows {
    by_id: HashMap<String, Arc<Record>>,
    /// Those that hold their name.
    by_name: BTreeMap<Username, Arc<Record>>,
}

impl Mirror {
    pub(super) fn of(db: &Connection) -> Result<Self, StoreError> {
        let mut rows = Rows::default();
        for record in containers::rows(db)? {
            rows.put(record);
        }
        Ok(Self(RwLock::new(rows)))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a transaction made of these rows.
    pub(super) fn apply(&self, changed: Vec<(Option<Record>, String)>) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (record, id) in changed {
            rows.remove(&id);
            if let Some(record) = record {
                rows.put(record);
            }
        }
    }
}

impl Rows {
    pub(super) fn named(&self, username: &Username) -> Option<Arc<Record>> {
        self.by_name.get(username).cloned()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Record>> {
        self.by_id.get(id).cloned()
    }

    /// Those that hold a name, in its order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.by_name.values()
    }

    /// Every row, deleted ones too.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.by_id.values()
    }

    fn put(&mut self, record: Record) {
        let record = Arc::new(record);
        if record.phase != Phase::Deleted {
            self.by_name
                .insert(record.username.clone(), Arc::clone(&record));
        }
        self.by_id.insert(record.id.clone(), record);
    }

    fn remove(&mut self, id: &str) {
        let Some(old) = self.by_id.remove(id) else {
            return;
        };
        if self.by_name.get(&old.username).is_some_and(|r| r.id == id) {
            self.by_name.remove(&old.username);
        }
    }
}
