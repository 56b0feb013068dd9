//! The planner: from what the store wants and what the engine has to what is to be done. Pure.
//!
//! | store | engine | act |
//! |---|---|---|
//! | an operation that is not over and has no task | any | `Resume` |
//! | an operation works on it | any | none |
//! | creating; no operation | absent, or never ready | `Undo`: remove the instance, then the row |
//! | creating; no operation | was ready | `Restore`: the store is older than the engine |
//! | deleting; no operation | absent, or there | `Undo`: its removal was begun |
//! | ready | there, its tags say otherwise | `Mark` |
//! | ready | absent | none: told as an error, never made anew |
//! | deleted | there, not tagged as deleted | `Restore`, where its name is free: somebody brought it back |
//! | deleted, its time not over | there, and runs | `Still`: Incus started it when it was started itself |
//! | deleted, its time not over | there, its tags say otherwise | `Mark` |
//! | deleted, its time over, or space or user ids needed | there, and its tags agree | `Purge` |
//! | deleted | absent | `Forget` |
//! | any | there with the tags of somebody else, or none | none, ever |
//! | none | ours, never ready, stopped, old, seen so in two passes | `RemoveHalfMade` |
//! | none | ours, a standby | none: whoever keeps them keeps or removes it |
//! | none | ours, was ready or runs | none: reported as unclaimed, for a person to decide |

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use containarium_contract::{OperationId, State};

use crate::{Record, engine::Tags, inventory::Seen, store::Phase};

/// How old an unknown half-made instance must be before it is taken for one, seconds.
const OLD: u64 = 15 * 60;
/// How far apart the two passes are at the least in which it is seen, seconds.
const APART: u64 = 60;
/// How much of the storage, or of the ranges of user ids, may be used before deleted containers go, the oldest first, percent.
const FULL: u64 = 85;

/// All that is known in one pass. The listing is complete.
pub(super) struct Observed<'a> {
    pub(super) installation: &'a str,
    pub(super) records: &'a [Arc<Record>],
    /// Operations that are not over and have no task.
    pub(super) unfinished: &'a [OperationId],
    pub(super) seen: &'a HashMap<String, Seen>,
    /// Containers that operations work on.
    pub(super) busy: &'a HashSet<String>,
    /// Of the storage, bytes: used, and all.
    pub(super) space: Option<(u64, u64)>,
    /// How many containers there can be: each has a range of user ids.
    pub(super) ranges: u64,
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
    RangesNeeded,
}

impl Cause {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TimeOver => "the time is over for which it was kept",
            Self::SpaceNeeded => "the storage is more than 85 % full",
            Self::RangesNeeded => "more than 85 % of the ranges of user ids are in use",
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
    /// Let this container be there for its users, as the engine says it was.
    Restore(String),
    /// Let its instance say what its row says.
    Mark(String),
    /// Stop this deleted container, which nobody started.
    Still(String),
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
    if settled {
        acts.extend(oldest_kept(observed, &acts));
    }
    suspects
        .retain(|instance, _| observed.seen.contains_key(instance) && !known.contains(instance));
    for (instance, seen) in observed.seen {
        let tags = &seen.tags;
        let ours = tags.install == observed.installation && !tags.id.is_empty();
        // One that runs was unpacked, and may have been there for somebody.
        let stopped = seen.state == State::Stopped;
        // Whoever keeps standbys sees to them.
        let standby = tags.standby.is_some();
        let half_made = ours && !tags.ready && !standby && stopped && !known.contains(instance);
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

/// What is behind a record.
enum Behind<'a> {
    Nothing,
    /// Its instance.
    Its(&'a Tags, State),
    /// Something of its name whose tags are those of somebody else, or not known yet.
    Foreign,
}

fn behind<'a>(observed: &'a Observed<'_>, record: &Record) -> Behind<'a> {
    match observed.seen.get(&record.instance()) {
        None => Behind::Nothing,
        Some(Seen { tags, state, .. })
            if tags.install == observed.installation && tags.id == record.id =>
        {
            Behind::Its(tags, *state)
        }
        Some(_) => Behind::Foreign,
    }
}

fn of_record(observed: &Observed<'_>, record: &Record) -> Option<Act> {
    let id = || record.id.clone();
    match (record.phase, behind(observed, record)) {
        (_, Behind::Foreign) | (Phase::Ready, Behind::Nothing) => None,
        (Phase::Creating, Behind::Its(tags, _)) if tags.ready => Some(Act::Restore(id())),
        (Phase::Creating | Phase::Deleting, Behind::Its(..) | Behind::Nothing) => {
            Some(Act::Undo(id()))
        }
        (Phase::Deleted, Behind::Nothing) => Some(Act::Forget(id())),
        (Phase::Deleted, Behind::Its(tags, _)) if tags.kept_until.is_none() => {
            let taken = observed
                .records
                .iter()
                .any(|other| other.phase != Phase::Deleted && other.username == record.username);
            (!taken).then(|| Act::Restore(id()))
        }
        (Phase::Deleted, Behind::Its(..))
            if record.kept_until.is_none_or(|until| until <= observed.now) =>
        {
            Some(Act::Purge(id(), Cause::TimeOver))
        }
        (Phase::Deleted, Behind::Its(_, State::Running | State::Frozen)) => Some(Act::Still(id())),
        (Phase::Ready | Phase::Deleted, Behind::Its(tags, _)) => {
            let agrees = tags.ready && tags.kept_until == record.kept_until;
            (!agrees).then(|| Act::Mark(id()))
        }
    }
}

/// The deleted containers that go first where the storage, or what there is of user ids, is nearly used
/// up. For its space one a pass: the storage frees it some time after that is gone.
fn oldest_kept(observed: &Observed<'_>, acts: &[Act]) -> Vec<Act> {
    let full = |used: u64, all: u64| used.saturating_mul(100) > all.saturating_mul(FULL);
    let containers = observed.records.len() as u64;
    let (cause, many) = if observed.space.is_some_and(|(used, all)| full(used, all)) {
        (Cause::SpaceNeeded, 1)
    } else if full(containers, observed.ranges) {
        let too_many = containers - observed.ranges.saturating_mul(FULL) / 100;
        (Cause::RangesNeeded, too_many as usize)
    } else {
        return Vec::new();
    };
    let kept = || {
        let all = observed.records.iter();
        all.filter(|record| record.phase == Phase::Deleted)
    };
    let going = acts.iter().any(|act| match act {
        Act::Purge(..) => true,
        Act::Resume(_)
        | Act::Undo(_)
        | Act::Restore(_)
        | Act::Mark(_)
        | Act::Still(_)
        | Act::Forget(_)
        | Act::RemoveHalfMade(_) => false,
    });
    if going || kept().any(|record| observed.busy.contains(&record.id)) {
        return Vec::new();
    }
    let mut kept: Vec<_> = kept()
        .filter(|record| match behind(observed, record) {
            Behind::Its(tags, _) => tags.kept_until.is_some(),
            Behind::Nothing | Behind::Foreign => false,
        })
        .collect();
    // All are kept equally long, so the one that would go first is the one deleted first.
    kept.sort_by_key(|record| (record.kept_until, &record.id));
    let first = kept.into_iter().take(many);
    first
        .map(|record| Act::Purge(record.id.clone(), cause))
        .collect()
}

#[cfg(test)]
mod tests;
