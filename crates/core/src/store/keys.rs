//! Idempotency keys: which operation a caller's request already began.

use containarium_contract::{IdempotencyKey, OperationId, Subject};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, StoreError, Tx, operations::unreadable, sound};

/// How long a key is remembered, seconds.
const KEPT: u64 = 24 * 3600;

/// A request that a caller can tell from another.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) subject: Subject,
    pub(crate) key: IdempotencyKey,
    /// Of what was asked.
    pub(crate) digest: Vec<u8>,
}

impl Store {
    /// The operation that this request began.
    pub(crate) async fn begun_by(
        &self,
        request: Request,
        now: u64,
    ) -> Result<Option<OperationId>, StoreError> {
        self.run(move |db| known(db, &request, now)).await
    }
}

/// The same within a transaction. A key that was used for something else is an error.
pub(super) fn known(
    db: &Connection,
    request: &Request,
    now: u64,
) -> Result<Option<OperationId>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT digest, operation FROM keys WHERE subject = ?1 AND key = ?2 AND created_at > ?3",
    )?;
    let oldest = now.saturating_sub(KEPT);
    let found: Option<(Vec<u8>, String)> = query
        .query_row(
            params![request.subject.as_str(), request.key.as_str(), oldest],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    match found {
        None => Ok(None),
        Some((digest, _)) if digest != request.digest => {
            Err(StoreError::KeyReused(request.key.clone()))
        }
        Some((_, operation)) => began(&operation).map(Some),
    }
}

fn began(operation: &str) -> Result<OperationId, StoreError> {
    let id = operation.parse();
    id.map_err(|e| unreadable(&e))
}

/// Reads every row, and keeps none.
pub(super) fn read_all(db: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT operation FROM keys";
    sound::every(db, "key", sql, |row| {
        began(row.get_ref(0)?.as_str().map_err(|e| unreadable(&e))?).map(drop)
    })
}

impl Tx<'_> {
    /// Remembers which operation a request began.
    pub(super) fn remember(
        &mut self,
        request: &Request,
        operation: &OperationId,
        now: u64,
    ) -> Result<(), StoreError> {
        self.tx.execute(
            "DELETE FROM keys WHERE created_at <= ?1",
            [now.saturating_sub(KEPT)],
        )?;
        self.tx.execute(
            "INSERT INTO keys (subject, key, digest, operation, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                request.subject.as_str(),
                request.key.as_str(),
                request.digest,
                operation.as_str(),
                now
            ],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_known_for_a_day_and_free_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::make(place.path()).unwrap();
        let request = |digest: u8| Request {
            subject: "alice".parse().unwrap(),
            key: "again".parse().unwrap(),
            digest: vec![digest],
        };
        let ids = [(), ()].map(|()| crate::containarium::operation_id());
        let begin = async |digest, id: &OperationId, now| {
            let (request, id) = (request(digest), id.clone());
            let written = store.write(move |tx| tx.remember(&request, &id, now));
            written.await.unwrap();
        };
        begin(1, &ids[0], 1000).await;
        let last = 1000 + KEPT - 1;
        let known = store.begun_by(request(1), last).await.unwrap();
        assert_eq!(known.as_ref(), Some(&ids[0]));
        let reused = store.begun_by(request(2), last).await.unwrap_err();
        assert!(matches!(reused, StoreError::KeyReused(_)), "{reused}");

        let over = last + 1;
        assert_eq!(store.begun_by(request(2), over).await.unwrap(), None);
        begin(2, &ids[1], over).await;
        let known = store.begun_by(request(2), over).await.unwrap();
        assert_eq!(known.as_ref(), Some(&ids[1]));
    }
}
