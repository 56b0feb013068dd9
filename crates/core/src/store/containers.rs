//! Containers as they were asked for, and the names, addresses and user ids they hold.

use std::{collections::BTreeMap, net::Ipv4Addr};

use containarium_contract::{
    ImageRef, LabelKey, LabelValue, OperationId, OperationKind, Resources, SshPublicKey, Subject,
    Username,
};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, operations};
use crate::Installation;

/// What a container was asked to be, with what was capped already capped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What it may use.
    pub resources: Resources,
    /// The keys that may log in.
    pub ssh_keys: Vec<SshPublicKey>,
    /// What it is made from.
    pub image: ImageRef,
    /// Whether Docker works inside.
    pub docker: bool,
    /// The caller's own words.
    pub labels: BTreeMap<LabelKey, LabelValue>,
}

/// How far a container's own life has come: `Creating → Ready → Deleting → (no row)`, and
/// `Creating → Deleting` where a create failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being made. Holds its name, address and user ids.
    Creating,
    /// Made: it exists for its users.
    Ready,
    /// Being removed.
    Deleting,
}

/// One container, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A lower-case ULID.
    pub id: String,
    /// Its address in every call.
    pub username: Username,
    /// Whose it is.
    pub owner: Subject,
    /// How far it is.
    pub phase: Phase,
    /// What it was asked to be.
    pub spec: Spec,
    /// Its address, for as long as it lives.
    pub address: Ipv4Addr,
    /// The first of its user ids on the host.
    pub uid_base: u32,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub updated_at: u64,
}

/// What came of asking for a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// It is held for the caller, with an address and user ids.
    Held(Box<Record>),
    /// Somebody has it.
    NameTaken,
    /// There are no more addresses or user ids.
    Exhausted,
}

impl Record {
    /// The engine's name of it: ours alone, so that no user's text ever names an engine object.
    pub fn instance(&self) -> String {
        format!("c-{}", self.id)
    }

    /// Its MAC address, made from its IP address and so unique on the bridge (Incus's own prefix).
    pub fn mac(&self) -> String {
        let [_, b, c, d] = self.address.octets();
        format!("10:66:6a:{b:02x}:{c:02x}:{d:02x}")
    }
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Deleting => "deleting",
        }
    }
}

const COLUMNS: &str = "id, username, owner, phase, spec, address, uid_base, created_at, updated_at";

impl Store {
    /// Every container, by username.
    pub async fn containers(&self) -> Result<Vec<Record>, StoreError> {
        self.run(|db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM containers ORDER BY username"
            ))?;
            let rows = query.query_map([], |row| Ok(read(row)))?;
            rows.map(|row| row?).collect()
        })
        .await
    }

    /// The container of that name.
    pub async fn container(&self, username: &Username) -> Result<Option<Record>, StoreError> {
        let username = username.to_string();
        self.run(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM containers WHERE username = ?1");
            db.query_row(&sql, [username], |row| Ok(read(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    /// In one transaction: the name, an address, user ids, and the create's operation.
    pub(crate) async fn reserve(
        &self,
        installation: Installation,
        wanted: Reservation,
    ) -> Result<Reserved, StoreError> {
        self.run(move |db| {
            let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let reserved = reserve(&tx, &installation, wanted)?;
            if matches!(reserved, Reserved::Held(_)) {
                tx.commit()?;
            }
            Ok(reserved)
        })
        .await
    }

    /// Moves a container on, and with it the operation that moved it.
    pub(crate) async fn set_phase(
        &self,
        id: &str,
        phase: Phase,
        now: u64,
        operation: operations::Change,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute(
                "UPDATE containers SET phase = ?2, updated_at = ?3 WHERE id = ?1",
                params![id, phase.as_str(), now],
            )?;
            operations::apply(&tx, &operation, now)?;
            Ok(tx.commit()?)
        })
        .await
    }

    /// Notes what a container shall be from now on.
    pub(crate) async fn set_spec(&self, id: &str, spec: &Spec, now: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        let spec = serde_json::to_string(spec).map_err(|e| unreadable(&e))?;
        self.run(move |db| {
            db.execute(
                "UPDATE containers SET spec = ?2, updated_at = ?3 WHERE id = ?1",
                params![id, spec, now],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes that a container was changed now.
    pub(crate) async fn touch(&self, id: &str, now: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            db.execute(
                "UPDATE containers SET updated_at = ?2 WHERE id = ?1",
                params![id, now],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets a container that the engine no longer has; its name and address are free again.
    pub(crate) async fn forget(
        &self,
        id: &str,
        now: u64,
        operation: Option<operations::Change>,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute("DELETE FROM containers WHERE id = ?1", [id])?;
            if let Some(operation) = operation {
                operations::apply(&tx, &operation, now)?;
            }
            Ok(tx.commit()?)
        })
        .await
    }
}

/// What a create asks the store to hold.
pub(crate) struct Reservation {
    pub(crate) id: String,
    pub(crate) operation: OperationId,
    pub(crate) username: Username,
    pub(crate) owner: Subject,
    pub(crate) actor: Subject,
    pub(crate) spec: Spec,
    pub(crate) now: u64,
}

fn reserve(
    tx: &Transaction<'_>,
    installation: &Installation,
    wanted: Reservation,
) -> Result<Reserved, StoreError> {
    let taken: i64 = tx.query_row(
        "SELECT count(*) FROM containers WHERE username = ?1",
        [wanted.username.as_str()],
        |row| row.get(0),
    )?;
    if taken > 0 {
        return Ok(Reserved::NameTaken);
    }
    let addresses: Vec<Ipv4Addr> = column(tx, "SELECT address FROM containers")?
        .iter()
        .filter_map(|text: &String| text.parse().ok())
        .collect();
    let last: Option<String> = tx
        .query_row("SELECT last_address FROM installation", [], |row| {
            row.get(0)
        })
        .optional()?
        .flatten();
    let uids: Vec<u32> = column(tx, "SELECT uid_base FROM containers")?;
    let address = installation.free_address(&addresses, last.and_then(|text| text.parse().ok()));
    let (Some(address), Some(uid_base)) = (address, installation.free_uids(&uids)) else {
        return Ok(Reserved::Exhausted);
    };
    let record = Record {
        id: wanted.id,
        username: wanted.username,
        owner: wanted.owner,
        phase: Phase::Creating,
        spec: wanted.spec,
        address,
        uid_base,
        created_at: wanted.now,
        updated_at: wanted.now,
    };
    let spec = serde_json::to_string(&record.spec).map_err(|e| unreadable(&e))?;
    tx.execute(
        &format!("INSERT INTO containers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)"),
        params![
            record.id,
            record.username.as_str(),
            record.owner.as_str(),
            record.phase.as_str(),
            spec,
            address.to_string(),
            uid_base,
            record.created_at,
        ],
    )?;
    tx.execute(
        "UPDATE installation SET last_address = ?1",
        [address.to_string()],
    )?;
    operations::insert(
        tx,
        &wanted.operation,
        OperationKind::Create,
        &record,
        &wanted.actor,
    )?;
    Ok(Reserved::Held(Box::new(record)))
}

fn column<T: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> Result<Vec<T>, StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> Result<Record, StoreError> {
    let text = |name: &str| row.get::<_, String>(name);
    Ok(Record {
        id: text("id")?,
        username: text("username")?.parse().map_err(|e| unreadable(&e))?,
        owner: text("owner")?.parse().map_err(|e| unreadable(&e))?,
        phase: match text("phase")?.as_str() {
            "creating" => Phase::Creating,
            "ready" => Phase::Ready,
            "deleting" => Phase::Deleting,
            other => return Err(StoreError::Unreadable(format!("phase {other}"))),
        },
        spec: serde_json::from_str(&text("spec")?).map_err(|e| unreadable(&e))?,
        address: text("address")?.parse().map_err(|e| unreadable(&e))?,
        uid_base: row.get("uid_base")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn unreadable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
