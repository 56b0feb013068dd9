//! The planner against a model: whatever store and engine hold, its acts come to an end, and never
//! touch what is not theirs.

use std::collections::BTreeMap;

use containarium_contract::{Resources, Username};
use proptest::prelude::*;

use super::*;
use crate::{
    Spec,
    engine::{Tags, tags::Made},
};

const OURS: &str = "ours";
/// Between two passes, seconds.
const PASS: u64 = 61;
/// After so many passes nothing is left to be done: what is kept is kept for less, or for longer than
/// this goes on, and what is young is old.
const ROUNDS: usize = 60;
/// Longer than this goes on, seconds.
const LONG: u64 = 1_000_000;
const NOW: u64 = 1_000_000;

/// What an instance's tags say.
#[derive(Clone, Copy, Debug)]
enum Tagged {
    Ours { ready: bool, kept: Option<u64> },
    Standby,
    OthersInstallation,
    OtherId,
    Builder,
    Not,
}

#[derive(Clone, Debug)]
struct Model {
    records: Vec<Record>,
    seen: HashMap<String, Seen>,
    /// Operations without a task, each with its container.
    unfinished: Vec<(OperationId, String)>,
    /// Containers that operations work on, each with the pass in which it ends.
    busy: HashMap<String, usize>,
    /// Of 100; an instance of ours takes 5.
    used: Option<u64>,
    now: u64,
}

fn record(id: usize, name: usize, phase: Phase, kept: u64, fault: bool) -> Record {
    let id_ = id as u8;
    Record {
        id: format!("{id:026}"),
        username: format!("u{name}").parse().unwrap(),
        owner: "owner".parse().unwrap(),
        phase,
        spec: Spec {
            resources: Resources::default(),
            ssh_keys: Vec::new(),
            image: "images:debian/13".parse().unwrap(),
            docker: false,
            labels: BTreeMap::new(),
        },
        address: [10, 0, 0, id_].into(),
        uid_base: 65_536 * u32::from(id_),
        running: false,
        kept_until: (phase == Phase::Deleted).then_some(kept),
        fault: fault.then(|| "a fault".to_owned()),
        exit: None,
        created_at: 0,
        updated_at: 0,
    }
}

fn seen(id: usize, tagged: Tagged, age: u64) -> Seen {
    let id = format!("{id:026}");
    let created_at = NOW - age;
    let tags = Tags {
        install: OURS.to_owned(),
        id,
        ready: true,
        created_at,
        ..Tags::default()
    };
    Seen::stopped(match tagged {
        Tagged::Ours { ready, kept } => Tags {
            ready,
            kept_until: kept,
            ..tags
        },
        Tagged::Standby => Tags {
            ready: false,
            standby: Some(Box::new(Made {
                image: "images:debian/13".parse().unwrap(),
                docker: true,
                from: "an image".to_owned(),
            })),
            ..tags
        },
        Tagged::OthersInstallation => Tags {
            install: "others".to_owned(),
            ready: false,
            ..tags
        },
        Tagged::OtherId => Tags {
            id: "0".to_owned(),
            ..tags
        },
        Tagged::Builder => Tags {
            id: String::new(),
            ready: true,
            ..tags
        },
        Tagged::Not => Tags::default(),
    })
}

/// Until when something is kept.
fn until() -> impl Strategy<Value = u64> {
    prop_oneof![3 => NOW - 900..NOW + 900, 1 => Just(NOW + LONG)]
}

/// What an instance can be found in. Those that come in between are gone by the next look.
fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        2 => Just(State::Stopped),
        2 => Just(State::Running),
        1 => Just(State::Frozen),
        1 => Just(State::Error),
    ]
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let kept = proptest::option::of(until());
    prop_oneof![
        4 => (any::<bool>(), kept).prop_map(|(ready, kept)| Tagged::Ours { ready, kept }),
        1 => Just(Tagged::Standby),
        1 => Just(Tagged::OthersInstallation),
        1 => Just(Tagged::OtherId),
        1 => Just(Tagged::Builder),
        1 => Just(Tagged::Not),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Creating),
        Just(Phase::Ready),
        Just(Phase::Deleting),
        Just(Phase::Deleted)
    ]
}

/// What there is of one container: its row, its instance, what works on it.
type Slot = (
    Option<(usize, Phase, u64, bool)>,
    Option<(Tagged, u64, State)>,
    (bool, Option<usize>),
);

fn slot() -> impl Strategy<Value = Slot> {
    (
        proptest::option::of((0..4usize, phase(), until(), any::<bool>())),
        proptest::option::of((tagged(), 0..2000u64, state())),
        (
            proptest::bool::weighted(0.1),
            proptest::option::weighted(0.2, 0..5usize),
        ),
    )
}

fn model() -> impl Strategy<Value = Model> {
    let slots = proptest::collection::vec(slot(), 0..10);
    (slots, proptest::option::of(0..100u64)).prop_map(|(slots, used)| {
        let mut model = Model {
            records: Vec::new(),
            seen: HashMap::new(),
            unfinished: Vec::new(),
            busy: HashMap::new(),
            used,
            now: NOW,
        };
        for (id, (row, instance, (unfinished, busy))) in slots.into_iter().enumerate() {
            if let Some((name, phase, kept, fault)) = row {
                // A name has one holder: the store's index sees to it.
                let name = if phase == Phase::Deleted { name } else { id };
                model.records.push(record(id, name, phase, kept, fault));
            }
            if let Some((tagged, age, state)) = instance {
                let mut seen = seen(id, tagged, age);
                seen.state = state;
                model.seen.insert(format!("c-{id:026}"), seen);
            }
            let container = format!("{id:026}");
            if unfinished {
                let op = crate::containarium::operation_id();
                model.unfinished.push((op, container));
            } else if let Some(until) = busy {
                model.busy.insert(container, until);
            }
        }
        model
    })
}

impl Model {
    fn plan(&self, suspects: &mut HashMap<String, Suspect>) -> Vec<Act> {
        let records: Vec<_> = self.records.iter().cloned().map(Arc::new).collect();
        let unfinished: Vec<_> = self.unfinished.iter().map(|(op, _)| op.clone()).collect();
        let ours = self.seen.values().filter(|seen| seen.tags.install == OURS);
        let used = self.used.map(|used| used + 5 * ours.count() as u64);
        let observed = Observed {
            installation: OURS,
            records: &records,
            unfinished: &unfinished,
            seen: &self.seen,
            busy: &self.busy.keys().cloned().collect(),
            space: used.map(|used| (used, 100)),
            ranges: 1000,
            now: self.now,
        };
        let mut again = suspects.clone();
        let acts = plan(&observed, suspects);
        assert_eq!(plan(&observed, &mut again), acts, "the same twice");
        assert_eq!(again, *suspects, "the same twice");
        acts
    }

    fn record(&mut self, id: &str) -> &mut Record {
        let found = self.records.iter_mut().find(|record| record.id == id);
        found.unwrap_or_else(|| panic!("an act on a row that is not there: {id}"))
    }

    fn taken(&self, username: &Username) -> bool {
        let mut all = self.records.iter();
        all.any(|one| one.phase != Phase::Deleted && one.username == *username)
    }

    /// Removes an instance, which must be one that may go.
    fn remove(&mut self, instance: &str) {
        let Some(seen) = self.seen.remove(instance) else {
            return;
        };
        assert_eq!(seen.tags.install, OURS, "{instance} is somebody else's");
        assert_eq!(format!("c-{}", seen.tags.id), instance, "not ours to judge");
        let known = self.records.iter().find(|r| r.instance() == instance);
        match known.map(|record| record.phase) {
            None => {
                let may_be_somebodys =
                    seen.tags.ready || seen.tags.standby.is_some() || seen.state != State::Stopped;
                assert!(!may_be_somebodys, "{instance}: nobody knows it: {seen:?}");
            }
            Some(Phase::Ready) => panic!("{instance} is there for its users"),
            Some(Phase::Deleting) => {}
            Some(Phase::Creating) => {
                assert!(!seen.tags.ready, "{instance}: undone, and was ready");
            }
            Some(Phase::Deleted) => {
                assert!(
                    seen.tags.kept_until.is_some(),
                    "{instance} was brought back past this store"
                );
            }
        }
    }

    /// Does what an act says, as the daemon would.
    fn act(&mut self, act: &Act, round: usize) {
        let id = match act {
            Act::Resume(_) => None,
            Act::Undo(id)
            | Act::Restore(id)
            | Act::Mark(id)
            | Act::Still(id)
            | Act::Forget(id)
            | Act::Purge(id, _) => Some(id.clone()),
            Act::RemoveHalfMade(instance) => instance.strip_prefix("c-").map(str::to_owned),
        };
        if let Some(id) = id {
            assert!(
                !self.busy.contains_key(&id),
                "{act:?}: it is being worked on"
            );
            assert!(
                matches!(act, Act::RemoveHalfMade(_)) || self.unfinished.is_empty(),
                "{act:?}: nobody knows yet what is being worked on"
            );
        }
        let instance = |id: &str| format!("c-{id}");
        match act {
            Act::Resume(op) => {
                let at = self.unfinished.iter().position(|(known, _)| known == op);
                let (_, container) = self.unfinished.remove(at.unwrap());
                self.busy.insert(container, round + 2);
            }
            Act::Undo(id) => {
                self.remove(&instance(id));
                self.records.retain(|record| record.id != *id);
            }
            Act::Restore(id) => {
                let username = self.record(id).username.clone();
                let creating = self.record(id).phase == Phase::Creating;
                if creating || !self.taken(&username) {
                    let record = self.record(id);
                    record.phase = Phase::Ready;
                    record.kept_until = None;
                }
            }
            Act::Mark(id) => {
                let until = self.record(id).kept_until;
                let seen = self.seen.get_mut(&instance(id)).unwrap();
                assert_eq!(seen.tags.install, OURS, "{id} is somebody else's");
                assert_eq!(seen.tags.id, *id, "{id} is not this one");
                seen.tags.ready = true;
                seen.tags.standby = None;
                seen.tags.kept_until = until;
            }
            Act::Still(id) => {
                assert_eq!(self.record(id).phase, Phase::Deleted);
                let seen = self.seen.get_mut(&instance(id)).unwrap();
                assert!(
                    matches!(seen.state, State::Running | State::Frozen),
                    "{id} is still already"
                );
                seen.state = State::Stopped;
            }
            Act::Forget(id) => {
                assert_eq!(self.record(id).phase, Phase::Deleted);
                assert!(!self.seen.contains_key(&instance(id)), "{id} is there");
                self.records.retain(|record| record.id != *id);
            }
            Act::Purge(id, cause) => {
                let (kept, now) = (self.record(id).kept_until.unwrap(), self.now);
                match cause {
                    Cause::TimeOver => assert!(kept <= now, "{id} is kept for longer"),
                    Cause::SpaceNeeded | Cause::RangesNeeded => {}
                }
                self.remove(&instance(id));
                self.records.retain(|record| record.id != *id);
            }
            Act::RemoveHalfMade(name) => {
                let seen = &self.seen[name];
                assert!(self.now - seen.tags.created_at >= OLD, "{name} is young");
                assert!(!self.records.iter().any(|r| r.instance() == *name));
                self.remove(name);
            }
        }
    }

    /// What no pass may ever remove.
    fn sacred(&self) -> Vec<String> {
        let known = |name: &str| self.records.iter().any(|r| r.instance() == name);
        let all = self.seen.iter();
        all.filter(|(name, seen)| {
            let ours = seen.tags.install == OURS && format!("c-{}", seen.tags.id) == **name;
            let made = seen.tags.ready || seen.state != State::Stopped;
            !ours || ((made || seen.tags.standby.is_some()) && !known(name))
        })
        .map(|(name, _)| name.clone())
        .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn it_comes_to_rest_and_touches_nothing_that_is_not_its_own(model in model()) {
        let mut model = model;
        let (sacred, ready) = (model.sacred(), model.records.iter()
            .filter(|record| record.phase == Phase::Ready)
            .map(|record| record.id.clone())
            .collect::<Vec<_>>());
        let mut suspects = HashMap::new();
        let mut last = Vec::new();
        for round in 0..ROUNDS {
            last = model.plan(&mut suspects);
            if round == 0 {
                let hasty = last.iter().any(|act| matches!(act, Act::RemoveHalfMade(_)));
                prop_assert!(!hasty, "removed when first seen: {last:?}");
            }
            for act in &last {
                model.act(act, round);
            }
            model.busy.retain(|_, until| *until > round);
            model.now += PASS;
        }
        prop_assert!(last.is_empty(), "no rest after {ROUNDS} passes: {last:?}");
        for name in sacred {
            prop_assert!(model.seen.contains_key(&name), "{name} is gone");
        }
        for id in ready {
            prop_assert!(model.records.iter().any(|record| record.id == id), "{id} is gone");
        }
        // What is still half done has something foreign in its place.
        for record in &model.records {
            let half = matches!(record.phase, Phase::Creating | Phase::Deleting);
            let seen = model.seen.get(&record.instance());
            let foreign = seen.is_some_and(|seen| seen.tags.install != OURS || seen.tags.id != record.id);
            prop_assert!(!half || foreign, "left half done: {record:?}");
            // What is deleted and kept does not run, whoever started it.
            let kept = record.phase == Phase::Deleted && !foreign;
            let runs = seen.is_some_and(|seen| {
                let started = matches!(seen.state, State::Running | State::Frozen);
                started && seen.tags.kept_until.is_some()
            });
            prop_assert!(!kept || !runs, "deleted, and runs: {record:?}");
        }
    }
}

fn observe(records: &[Arc<Record>], seen: &HashMap<String, Seen>, now: u64) -> Vec<Act> {
    passes(records, seen, &[now])
}

/// What the last of several passes does.
fn passes(records: &[Arc<Record>], seen: &HashMap<String, Seen>, at: &[u64]) -> Vec<Act> {
    let mut suspects = HashMap::new();
    let mut acts = Vec::new();
    for now in at {
        let observed = Observed {
            installation: OURS,
            records,
            unfinished: &[],
            seen,
            busy: &HashSet::new(),
            space: None,
            ranges: 1000,
            now: *now,
        };
        acts = plan(&observed, &mut suspects);
    }
    acts
}

#[test]
fn an_unknown_half_made_one_goes_when_it_is_old_and_was_seen_twice() {
    let half = Tagged::Ours {
        ready: false,
        kept: None,
    };
    let there = HashMap::from([(format!("c-{:026}", 1), seen(1, half, 0))]);
    // Young: made at NOW.
    let young: Vec<u64> = (0..14).map(|minute| NOW + 60 * minute).collect();
    assert_eq!(passes(&[], &there, &young), []);
    // Old, and seen for the first time.
    assert_eq!(passes(&[], &there, &[NOW + OLD]), []);
    let twice = passes(&[], &there, &[NOW + OLD, NOW + OLD + APART]);
    assert_eq!(twice, [Act::RemoveHalfMade(format!("c-{:026}", 1))]);
    // One that runs was made, and may be somebody's.
    let mut runs = seen(1, half, 0);
    runs.state = State::Running;
    let there = HashMap::from([(format!("c-{:026}", 1), runs)]);
    assert_eq!(passes(&[], &there, &[NOW + OLD, NOW + OLD + APART]), []);
}

#[test]
fn one_that_was_brought_back_past_this_store_is_not_purged() {
    let kept = Arc::new(record(1, 1, Phase::Deleted, NOW - 5, false));
    let back = Tagged::Ours {
        ready: true,
        kept: None,
    };
    let there = HashMap::from([(kept.instance(), seen(1, back, 5000))]);
    let id = kept.id.clone();
    assert_eq!(
        observe(std::slice::from_ref(&kept), &there, NOW),
        [Act::Restore(id)]
    );
    // Its name is somebody else's meanwhile: it is left alone.
    let other = Arc::new(record(2, 1, Phase::Ready, 0, false));
    assert_eq!(observe(&[kept, other], &there, NOW), []);
}

#[test]
fn one_that_is_deleted_and_runs_is_stopped_and_kept() {
    let kept = Arc::new(record(1, 1, Phase::Deleted, NOW + 500, false));
    let tags = Tagged::Ours {
        ready: true,
        kept: Some(NOW + 500),
    };
    let mut runs = seen(1, tags, 5000);
    runs.state = State::Running;
    let there = HashMap::from([(kept.instance(), runs)]);
    let id = kept.id.clone();
    assert_eq!(observe(&[kept], &there, NOW), [Act::Still(id)]);
}

/// What is done in here is counted by `scripts/instructions`, which tells callgrind its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) -> u8 {
    work();
    // Something after it, or the call of `work` would be a jump out of here.
    std::hint::black_box(1)
}

#[test]
fn a_pass_over_containers_that_are_as_they_should_be_does_nothing() {
    let many: usize = std::env::var("CONTAINARIUM_TEST_MANY").map_or(20, |n| n.parse().unwrap());
    let ids = 0..many;
    let tagged = Tagged::Ours {
        ready: true,
        kept: None,
    };
    let observed = Observed {
        installation: OURS,
        records: &ids
            .clone()
            .map(|id| Arc::new(record(id, id, Phase::Ready, 0, false)))
            .collect::<Vec<_>>(),
        unfinished: &[],
        seen: &ids
            .map(|id| (format!("c-{id:026}"), seen(id, tagged, 2000)))
            .collect(),
        busy: &HashSet::new(),
        space: Some((1, 100)),
        ranges: 1_000_000,
        now: NOW,
    };
    let mut suspects = HashMap::new();
    for _ in 0..10 {
        let mut acts = None;
        counted(&mut || acts = Some(plan(&observed, &mut suspects)));
        assert_eq!(acts, Some(Vec::new()));
    }
}

#[test]
fn where_user_ids_run_out_the_one_deleted_first_goes() {
    let records: Vec<_> = [(1, Phase::Ready), (2, Phase::Deleted), (3, Phase::Deleted)]
        .into_iter()
        .map(|(id, phase)| Arc::new(record(id, id, phase, NOW + 900 - id as u64, false)))
        .collect();
    let instance = |record: &Arc<Record>| {
        let tagged = Tagged::Ours {
            ready: true,
            kept: record.kept_until,
        };
        let id = record.id.parse().unwrap();
        (record.instance(), seen(id, tagged, 2000))
    };
    let all = records.iter().map(instance).collect();
    let planned = |ranges| {
        let observed = Observed {
            installation: OURS,
            records: &records,
            unfinished: &[],
            seen: &all,
            busy: &HashSet::new(),
            space: None,
            ranges,
            now: NOW,
        };
        plan(&observed, &mut HashMap::new())
    };
    assert_eq!(planned(4), []);
    let first = records[2].id.clone();
    assert_eq!(planned(3), [Act::Purge(first, Cause::RangesNeeded)]);
}
