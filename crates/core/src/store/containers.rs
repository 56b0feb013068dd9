//! Containers as they were asked for, and the names, addresses and user ids they hold.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use containarium_contract::{
    Exit, ImageRef, LabelKey, LabelValue, Resources, SshPublicKey, Subject, Username,
    UsernamePattern,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, Tx, operations::unreadable};
use crate::{Installation, engine::Tags, principal::Limit};

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

/// How far a container's own life has come.
///
/// ```text
///   Creating ──► Ready ──► Deleting ──► Deleted ──► (no row)
///       │          ▲          │            │
///       └──► Deleting ──► (no row)◄┘   Ready ◄┘ undeleted
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being made. Holds its name, address and user ids.
    Creating,
    /// Made: it exists for its users.
    Ready,
    /// Being deleted, or undone because its create failed. Still holds its name.
    Deleting,
    /// Deleted and kept: its name is free, its address and user ids are not.
    Deleted,
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
    /// Whether it ran when somebody last looked; of a deleted one, whether it ran before.
    pub running: bool,
    /// Until when it is kept, Unix seconds; only where it is deleted.
    pub kept_until: Option<u64>,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// How it last stopped.
    pub exit: Option<Exit>,
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
    /// Whoever asks has as many containers as it may.
    TooMany { most: u32, there: u64 },
    /// There are no more addresses or user ids.
    Exhausted,
}

impl Record {
    /// The engine's name of it: ours alone, so that no user's text ever names an engine object.
    pub fn instance(&self) -> String {
        instance_name(&self.id)
    }

    /// Its MAC address.
    pub fn mac(&self) -> String {
        mac(self.address)
    }
}

/// The engine's name of what has this id.
pub(crate) fn instance_name(id: &str) -> String {
    format!("c-{id}")
}

/// A MAC address made from an IP address, and so unique on the bridge (Incus's own prefix).
pub(crate) fn mac(address: Ipv4Addr) -> String {
    let [_, b, c, d] = address.octets();
    format!("10:66:6a:{b:02x}:{c:02x}:{d:02x}")
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

const COLUMNS: &str = "id, username, owner, phase, spec, address, uid_base, running, kept_until, \
                       fault, exit, created_at, updated_at";

impl Store {
    /// Every container that holds its name, in the order of the names.
    pub fn containers(&self) -> Vec<Arc<Record>> {
        self.mirror.read().in_order().cloned().collect()
    }

    /// Every row, those of deleted containers too, in no order.
    pub(crate) fn all_containers(&self) -> Vec<Arc<Record>> {
        self.mirror.read().all().cloned().collect()
    }

    /// The container of that name.
    pub fn container(&self, username: &Username) -> Option<Arc<Record>> {
        self.mirror.read().named(username)
    }

    /// The container with that id.
    pub(crate) fn container_by_id(&self, id: &str) -> Option<Arc<Record>> {
        self.mirror.read().by_id(id)
    }
}

impl Tx<'_> {
    /// Moves a container on.
    pub(crate) fn set_phase(&mut self, id: &str, phase: Phase, now: u64) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let sql =
            "UPDATE containers SET phase = ?2, kept_until = NULL, updated_at = ?3 WHERE id = ?1";
        let done = self.tx.execute(sql, params![id, phase.as_str(), now]);
        done.map(drop).map_err(name_taken)
    }

    /// Keeps a deleted container until then.
    pub(crate) fn keep(&mut self, id: &str, until: u64, now: u64) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        self.tx.execute(
            "UPDATE containers SET phase = 'deleted', kept_until = ?2, updated_at = ?3 WHERE id = ?1",
            params![id, until, now],
        )?;
        Ok(())
    }

    /// Notes whether a container runs; if it does, that nothing is wrong with it.
    pub(crate) fn set_running(&mut self, id: &str, running: bool) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let sql = if running {
            "UPDATE containers SET running = 1, fault = NULL WHERE id = ?1"
        } else {
            "UPDATE containers SET running = 0 WHERE id = ?1"
        };
        self.tx.execute(sql, [id])?;
        Ok(())
    }

    /// Notes how a container stopped, and what is wrong with it if it should not have.
    pub(crate) fn set_exit(
        &mut self,
        id: &str,
        exit: &Exit,
        fault: Option<&str>,
    ) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let exit = serde_json::to_string(exit).map_err(|e| unreadable(&e))?;
        self.tx.execute(
            "UPDATE containers SET running = 0, exit = ?2, fault = ?3 WHERE id = ?1",
            params![id, exit, fault],
        )?;
        Ok(())
    }

    /// Notes what is wrong with a container, or that nothing is any more.
    pub(crate) fn set_fault(&mut self, id: &str, fault: Option<&str>) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let sql = "UPDATE containers SET fault = ?2 WHERE id = ?1";
        self.tx.execute(sql, params![id, fault])?;
        Ok(())
    }

    /// Notes what a container shall be from now on.
    pub(crate) fn set_spec(&mut self, id: &str, spec: &Spec, now: u64) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let spec = serde_json::to_string(spec).map_err(|e| unreadable(&e))?;
        let sql = "UPDATE containers SET spec = ?2, updated_at = ?3 WHERE id = ?1";
        self.tx.execute(sql, params![id, spec, now])?;
        Ok(())
    }

    /// Notes that a container was changed now.
    pub(crate) fn touch(&mut self, id: &str, now: u64) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        let sql = "UPDATE containers SET updated_at = ?2 WHERE id = ?1";
        self.tx.execute(sql, params![id, now])?;
        Ok(())
    }

    /// Forgets a container that the engine no longer has; its name and address are free again.
    pub(crate) fn forget(&mut self, id: &str) -> Result<(), StoreError> {
        self.touched.insert(id.to_owned());
        self.tx
            .execute("DELETE FROM containers WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Takes a container in that exists already; what it holds must be free.
    pub(crate) fn adopt(&mut self, record: &Record) -> Result<(), StoreError> {
        self.touched.insert(record.id.clone());
        insert(&self.tx, record).map_err(|e| match e {
            StoreError::Sqlite(e) => name_taken(e),
            other => other,
        })
    }

    /// The name, an address and user ids for a container that is to be made. `in_use` are addresses and
    /// first user ids that the engine has, whatever this store knows of them; of `standbys` the first that
    /// nobody has is taken over.
    pub(crate) fn reserve(
        &mut self,
        installation: &Installation,
        wanted: Reservation,
        in_use: (Vec<Ipv4Addr>, Vec<u32>),
        standbys: Vec<Candidate>,
        limits: &[Limit],
    ) -> Result<Reserved, StoreError> {
        let reserved = reserve(&self.tx, installation, wanted, in_use, standbys, limits)?;
        if let Reserved::Held(record) = &reserved {
            self.touched.insert(record.id.clone());
        }
        Ok(reserved)
    }

    /// The first of the limits that leaves no place: how many may be there, and are.
    pub(crate) fn full(&self, limits: &[Limit]) -> Result<Option<(u32, u64)>, StoreError> {
        full(&self.tx, limits)
    }

    /// Gives a container another address; false where there is none.
    pub(crate) fn readdress(
        &mut self,
        id: &str,
        installation: &Installation,
        in_use: (Vec<Ipv4Addr>, Vec<u32>),
    ) -> Result<bool, StoreError> {
        let Some(address) = hold_address(&self.tx, installation, in_use.0)? else {
            return Ok(false);
        };
        self.touched.insert(id.to_owned());
        let sql = "UPDATE containers SET address = ?2 WHERE id = ?1";
        self.tx.execute(sql, params![id, address.to_string()])?;
        Ok(true)
    }

    /// An address and the first of some user ids for a standby, which has no row: whoever asks sees to it
    /// that nobody else gets them.
    pub(crate) fn hold(
        &mut self,
        installation: &Installation,
        in_use: (Vec<Ipv4Addr>, Vec<u32>),
    ) -> Result<Option<(Ipv4Addr, u32)>, StoreError> {
        hold(&self.tx, installation, in_use)
    }
}

/// A name that somebody has meanwhile.
fn name_taken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Taken(error),
        Some(_) | None => StoreError::Sqlite(error),
    }
}

/// What a create asks the store to hold.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    pub(crate) username: Username,
    pub(crate) owner: Subject,
    pub(crate) spec: Spec,
    pub(crate) now: u64,
}

/// What a create takes over of a standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) uid_base: u32,
}

impl Candidate {
    /// That of these tags, if they are whole.
    pub(crate) fn of(tags: &Tags) -> Option<Self> {
        Some(Self {
            id: tags.id.clone(),
            address: tags.address?,
            uid_base: tags.uid_base?,
        })
    }
}

fn reserve(
    tx: &Connection,
    installation: &Installation,
    wanted: Reservation,
    in_use: (Vec<Ipv4Addr>, Vec<u32>),
    standbys: Vec<Candidate>,
    limits: &[Limit],
) -> Result<Reserved, StoreError> {
    let taken: i64 = tx.query_row(
        "SELECT count(*) FROM containers WHERE username = ?1 AND phase <> 'deleted'",
        [wanted.username.as_str()],
        |row| row.get(0),
    )?;
    if taken > 0 {
        return Ok(Reserved::NameTaken);
    }
    if let Some((most, there)) = full(tx, limits)? {
        return Ok(Reserved::TooMany { most, there });
    }
    let mut free = standbys.into_iter();
    let free = loop {
        match free.next() {
            Some(standby) if is_free(tx, &standby)? => break Some(standby),
            Some(_) => {}
            None => break None,
        }
    };
    let held = match free {
        Some(standby) => Some(standby),
        None => hold(tx, installation, in_use)?.map(|(address, uid_base)| Candidate {
            id: wanted.id,
            address,
            uid_base,
        }),
    };
    let Some(Candidate {
        id,
        address,
        uid_base,
    }) = held
    else {
        return Ok(Reserved::Exhausted);
    };
    let record = Record {
        id,
        username: wanted.username,
        owner: wanted.owner,
        phase: Phase::Creating,
        spec: wanted.spec,
        address,
        uid_base,
        running: false,
        kept_until: None,
        fault: None,
        exit: None,
        created_at: wanted.now,
        updated_at: wanted.now,
    };
    insert(tx, &record)?;
    Ok(Reserved::Held(Box::new(record)))
}

/// The first of the limits that leaves no place: how many may be there, and are. What is being brought
/// back counts from the moment that is written down, as what is being made does.
fn full(tx: &Connection, limits: &[Limit]) -> Result<Option<(u32, u64)>, StoreError> {
    for limit in limits {
        let owner = limit.owner.as_ref().map(Subject::as_str);
        let sql = format!(
            "SELECT count(*) FROM containers
             WHERE (phase <> 'deleted' OR id IN (
                       SELECT container FROM operations WHERE kind = 'undelete'
                       AND state IN ('queued', 'running', 'cancelling')))
               AND (?1 IS NULL OR owner = ?1) AND {}",
            named("username", 2)
        );
        let there: u64 =
            tx.query_row(&sql, params![owner, globs(&limit.only)?], |row| row.get(0))?;
        if there >= u64::from(limit.most) {
            return Ok(Some((limit.most, there)));
        }
    }
    Ok(None)
}

/// The condition that `column` is a name that each of the [`globs`] in a parameter has.
pub(super) fn named(column: &str, parameter: u8) -> String {
    format!(
        "NOT EXISTS (
             SELECT 1 FROM json_each(?{parameter}) AS every WHERE NOT EXISTS (
                 SELECT 1 FROM json_each(every.value) AS one WHERE {column} GLOB one.value))"
    )
}

/// Patterns for [`named`]: they are written as SQLite's are, and have no other character of those.
pub(super) fn globs(only: &[Vec<UsernamePattern>]) -> Result<String, StoreError> {
    serde_json::to_string(only).map_err(|e| unreadable(&e))
}

/// Whether nobody holds what this standby is.
fn is_free(tx: &Connection, standby: &Candidate) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM containers WHERE id = ?1 OR address = ?2 OR uid_base = ?3";
    let Candidate {
        id,
        address,
        uid_base,
    } = standby;
    let held: i64 = tx.query_row(sql, params![id, address.to_string(), uid_base], |row| {
        row.get(0)
    })?;
    Ok(held == 0)
}

/// Returns an address and the first of some user ids that nobody has; the address counts as used from
/// now on.
fn hold(
    tx: &Connection,
    installation: &Installation,
    in_use: (Vec<Ipv4Addr>, Vec<u32>),
) -> Result<Option<(Ipv4Addr, u32)>, StoreError> {
    let (addresses, mut uids) = in_use;
    uids.extend(column::<u32>(tx, "SELECT uid_base FROM containers")?);
    let Some(uid_base) = installation.free_uids(&uids.into_iter().collect()) else {
        return Ok(None);
    };
    let address = hold_address(tx, installation, addresses)?;
    Ok(address.map(|address| (address, uid_base)))
}

/// Returns an address that nobody has, which counts as used from now on.
fn hold_address(
    tx: &Connection,
    installation: &Installation,
    in_use: Vec<Ipv4Addr>,
) -> Result<Option<Ipv4Addr>, StoreError> {
    let mut addresses = in_use;
    let known: Vec<String> = column(tx, "SELECT address FROM containers")?;
    addresses.extend(
        known
            .iter()
            .filter_map(|text| text.parse::<Ipv4Addr>().ok()),
    );
    let last: Option<String> = tx
        .query_row("SELECT last_address FROM installation", [], |row| {
            row.get(0)
        })
        .optional()?
        .flatten();
    let address = installation.free_address(
        &addresses.into_iter().collect(),
        last.and_then(|text| text.parse().ok()),
    );
    let Some(address) = address else {
        return Ok(None);
    };
    tx.execute(
        "UPDATE installation SET last_address = ?1",
        [address.to_string()],
    )?;
    Ok(Some(address))
}

fn insert(tx: &Connection, record: &Record) -> Result<(), StoreError> {
    let json = |value: &Exit| serde_json::to_string(value).map_err(|e| unreadable(&e));
    let spec = serde_json::to_string(&record.spec).map_err(|e| unreadable(&e))?;
    tx.execute(
        &format!(
            "INSERT INTO containers ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        ),
        params![
            record.id,
            record.username.as_str(),
            record.owner.as_str(),
            record.phase.as_str(),
            spec,
            record.address.to_string(),
            record.uid_base,
            record.running,
            record.kept_until,
            record.fault,
            record.exit.as_ref().map(json).transpose()?,
            record.created_at,
            record.updated_at,
        ],
    )?;
    Ok(())
}

/// Every row.
pub(super) fn rows(db: &Connection) -> Result<Vec<Record>, StoreError> {
    let mut query = db.prepare(&format!("SELECT {COLUMNS} FROM containers"))?;
    let rows = query.query_map([], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

/// The row with this id.
pub(super) fn row(db: &Connection, id: &str) -> Result<Option<Record>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM containers WHERE id = ?1"))?;
    query
        .query_row([id], |row| Ok(read(row)))
        .optional()?
        .transpose()
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
            "deleted" => Phase::Deleted,
            other => return Err(StoreError::Unreadable(format!("phase {other}"))),
        },
        spec: serde_json::from_str(&text("spec")?).map_err(|e| unreadable(&e))?,
        address: text("address")?.parse().map_err(|e| unreadable(&e))?,
        uid_base: row.get("uid_base")?,
        running: row.get("running")?,
        kept_until: row.get("kept_until")?,
        fault: row.get("fault")?,
        exit: row
            .get::<_, Option<String>>("exit")?
            .map(|text| serde_json::from_str(&text).map_err(|e| unreadable(&e)))
            .transpose()?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
