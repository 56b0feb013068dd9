//! The planner: from what the store wants and what the engine has to what is to be done. Pure.
//!
//! | store | engine | act |
//! |---|---|---|
//! | an operation that is not over and has no task | any | `Resume` |
//! | an operation works on it | any | none |
//! | creating, deleting; no operation | any | `Undo`: remove the instance, then the row |
//! | ready | there, its tags say otherwise | `Mark` |
//! | ready | absent | none: told as an error, never made anew |
//! | deleted, its time not over | there, its tags say otherwise | `Mark` |
//! | deleted, its time over, or space needed | there | `Purge` |
//! | deleted | absent | `Forget` |
//! | none | ours, never ready, old, seen so in two passes | `RemoveHalfMade` |
//! | none | ours, was ready | none: reported as unclaimed, for a person to decide |
//! | any | not ours | none, ever |

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use containarium_contract::OperationId;

use crate::{Record, inventory::Seen, store::Phase};

/// How old an unknown half-made instance must be before it is taken for one, seconds.
const OLD: u64 = 15 * 60;
/// How far apart the two passes are at the least in which it is seen, seconds.
const APART: u64 = 60;
/// How much of the storage may be used before deleted containers go, the oldest first, percent.
const FULL: u64 = 85;

/// All that is known in one pass. The listing is complete.
pub(super) struct Observed<'a> {
    pub(super) installation: &'a str,
    pub(super) records: &'a [Arc<Record>],
    /// Operations that are not over and have no task.
    pub(super) unfinished: &'a [OperationId],
    pub(super) seen: &'a BTreeMap<String, Seen>,
    /// Containers that operations work on.
    pub(super) busy: &'a HashSet<String>,
    /// Of the storage, bytes: used, and all.
    pub(super) space: Option<(u64, u64)>,
    /// Unix seconds.
    pub(super) now: u64,
}

/// Since when an instance is seen that should not be, Unix seconds.
pub(super) type Suspect = u64;

/// Why a deleted container goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    TimeOver,
    SpaceNeeded,
}

impl Cause {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TimeOver => "the time is over for which it was kept",
            Self::SpaceNeeded => "the storage is more than 85 % full",
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Give the operation a task.
    Resume(OperationId),
    /// Remove the instance of this container, if there is one, and then its row.
    Undo(String),
    /// Let its instance say what its row says.
    Mark(String),
    /// Nothing is behind this row, which nobody needs any more.
    Forget(String),
    /// Remove this deleted container for good.
    Purge(String, Cause),
    /// Remove this instance: a create that no store remembers left it.
    RemoveHalfMade(String),
}

/// What is to be done. `suspects` is remembered from pass to pass.
pub(super) fn plan(observed: &Observed<'_>, suspects: &mut HashMap<String, Suspect>) -> Vec<Act> {
    let mut acts: Vec<Act> = observed
        .unfinished
        .iter()
        .cloned()
        .map(Act::Resume)
        .collect();
    // Before any of those has a task, it is not known which containers they are about.
    let settled = acts.is_empty();
    let mut known = HashSet::new();
    for record in observed.records {
        known.insert(record.instance());
        if settled && !observed.busy.contains(&record.id) {
            acts.extend(of_record(observed, record));
        }
    }
    acts.extend(oldest_kept(observed, &acts));
    suspects
        .retain(|instance, _| observed.seen.contains_key(instance) && !known.contains(instance));
    for (instance, seen) in observed.seen {
        let tags = &seen.tags;
        let ours = tags.install == observed.installation && !tags.id.is_empty();
        let half_made = ours && !tags.ready && !known.contains(instance);
        if !half_made || observed.busy.contains(&tags.id) {
            continue;
        }
        let since = *suspects.entry(instance.clone()).or_insert(observed.now);
        let old = observed.now.saturating_sub(tags.created_at) >= OLD;
        if old && observed.now.saturating_sub(since) >= APART {
            acts.push(Act::RemoveHalfMade(instance.clone()));
        }
    }
    acts
}

fn of_record(observed: &Observed<'_>, record: &Record) -> Option<Act> {
    let seen = observed.seen.get(&record.instance());
    let id = || record.id.clone();
    match (record.phase, seen) {
        (Phase::Creating | Phase::Deleting, _) => Some(Act::Undo(id())),
        (Phase::Ready, None) => None,
        (Phase::Deleted, None) => Some(Act::Forget(id())),
        (Phase::Deleted, Some(_))
            if record.kept_until.is_none_or(|until| until <= observed.now) =>
        {
            Some(Act::Purge(id(), Cause::TimeOver))
        }
        (Phase::Ready | Phase::Deleted, Some(seen)) => {
            let tags = &seen.tags;
            // One that was only just seen has not told its tags yet.
            let told = tags.id == record.id;
            let agrees = tags.ready && tags.kept_until == record.kept_until;
            (told && !agrees).then(|| Act::Mark(id()))
        }
    }
}

/// The deleted container that goes first where the storage is nearly full. One a pass: what it
/// frees is seen in the next.
fn oldest_kept(observed: &Observed<'_>, acts: &[Act]) -> Option<Act> {
    let (used, all) = observed.space?;
    if used.saturating_mul(100) <= all.saturating_mul(FULL) {
        return None;
    }
    let kept = observed
        .records
        .iter()
        .filter(|record| record.phase == Phase::Deleted && !observed.busy.contains(&record.id));
    // All are kept equally long, so the one that would go first is the one deleted first.
    let first = kept.min_by_key(|record| (record.kept_until, &record.id))?;
    let already = acts.iter().any(|act| match act {
        Act::Purge(id, _) | Act::Forget(id) => *id == first.id,
        Act::Resume(_) | Act::Undo(_) | Act::Mark(_) | Act::RemoveHalfMade(_) => false,
    });
    (!already).then(|| Act::Purge(first.id.clone(), Cause::SpaceNeeded))
}
