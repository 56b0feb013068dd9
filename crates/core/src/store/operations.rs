//! One row for every create and delete, from before it begins until long after it ended.

use containarium_contract::{OperationId, OperationKind, OperationState, Subject};
use rusqlite::{Connection, params};

use super::{Record, Store, StoreError};

/// The steps of a create and a delete, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The name, address and user ids are held.
    Reserve,
    /// The engine makes the instance and starts it.
    Engine,
    /// The container boots until its SSH banner says that a login would work.
    Boot,
    /// The container is there for its users.
    Commit,
    /// The engine stops and removes the instance.
    Remove,
}

impl Step {
    /// Its name, in answers, logs and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Engine => "engine",
            Self::Boot => "boot",
            Self::Commit => "commit",
            Self::Remove => "remove",
        }
    }
}

/// A change of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) id: OperationId,
    pub(crate) state: OperationState,
    pub(crate) step: Step,
    pub(crate) error: Option<String>,
}

impl Store {
    /// Begins a delete: the container is being removed from now on, whatever happens.
    pub(crate) async fn begin_delete(
        &self,
        id: OperationId,
        record: Record,
        actor: Subject,
        now: u64,
    ) -> Result<(), StoreError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute(
                "UPDATE containers SET phase = 'deleting', updated_at = ?2 WHERE id = ?1",
                params![record.id, now],
            )?;
            insert(
                &tx,
                &id,
                OperationKind::Delete,
                &Record {
                    updated_at: now,
                    ..record
                },
                &actor,
            )?;
            Ok(tx.commit()?)
        })
        .await
    }

    /// Changes an operation alone.
    pub(crate) async fn change(&self, change: Change, now: u64) -> Result<(), StoreError> {
        self.run(move |db| apply(db, &change, now)).await
    }

    /// Ends as failed what was under way for a container when an earlier daemon ended.
    pub(crate) async fn fail_unfinished(
        &self,
        container: &str,
        why: &'static str,
        now: u64,
    ) -> Result<(), StoreError> {
        let container = container.to_owned();
        self.run(move |db| {
            db.execute(
                "UPDATE operations SET state = 'failed', error = ?2, updated_at = ?3
                 WHERE container = ?1 AND state IN ('queued', 'running', 'cancelling')",
                params![container, why, now],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn insert(
    db: &Connection,
    id: &OperationId,
    kind: OperationKind,
    record: &Record,
    actor: &Subject,
) -> Result<(), StoreError> {
    let (kind, step) = match kind {
        OperationKind::Create => ("create", Step::Reserve),
        other => (other.as_str(), Step::Remove),
    };
    db.execute(
        "INSERT INTO operations
           (id, kind, container, username, actor, state, step, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6, ?7, ?7)",
        params![
            id.as_str(),
            kind,
            record.id,
            record.username.as_str(),
            actor.as_str(),
            step.as_str(),
            record.updated_at,
        ],
    )?;
    Ok(())
}

pub(super) fn apply(db: &Connection, change: &Change, now: u64) -> Result<(), StoreError> {
    let state = match change.state {
        OperationState::Queued => "queued",
        OperationState::Running => "running",
        OperationState::Cancelling => "cancelling",
        OperationState::Succeeded => "succeeded",
        OperationState::Failed => "failed",
        OperationState::Cancelled => "cancelled",
    };
    db.execute(
        "UPDATE operations SET state = ?2, step = ?3, error = ?4, updated_at = ?5 WHERE id = ?1",
        params![
            change.id.as_str(),
            state,
            change.step.as_str(),
            change.error,
            now
        ],
    )?;
    Ok(())
}
