//! What the engine has, in memory: fed by its events and by full listings, read by everybody.
//! Nothing here asks the engine anything.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use containarium_contract::{EngineHealth, Exit, State};
use containarium_incus::Heard;
use tokio::{sync::watch, time::Instant};

use crate::engine::{Listed, Tags};

/// The engine gives a sign of life every 10 s at the least.
const QUIET: Duration = Duration::from_secs(12);

/// How long after it was asked to shut down an instance still does so for that reason.
const HEEDED: Duration = Duration::from_secs(15 * 60);

/// Whether a login works, of an instance that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Nobody has looked yet.
    Unknown,
    /// Its sshd has spoken.
    Works,
    /// Its sshd did not speak in time.
    Silent,
}

/// An instance, as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) state: State,
    pub(crate) login: Login,
    /// When it last began to run, if that was seen.
    pub(crate) up_since: Option<Instant>,
    /// When Incus last started it, in Incus's words; empty where that is not known.
    started: String,
    /// Its init on this host, if that is known.
    pid: Option<u64>,
    /// Whether somebody is trying if a login works after all.
    doubted: bool,
    /// Who asked it to shut down and when, if it may still do so.
    stop_asked: Option<(Exit, Instant)>,
    /// When this was seen.
    at: Instant,
    /// When we last changed its tags, if we did.
    tagged: Option<Instant>,
    pub(crate) tags: Tags,
}

impl Seen {
    /// One that was not known before.
    fn new(state: State, at: Instant) -> Self {
        Self {
            state,
            login: Login::Unknown,
            up_since: None,
            started: String::new(),
            pid: None,
            doubted: false,
            stop_asked: None,
            at,
            tagged: None,
            tags: Tags::default(),
        }
    }

    /// One that does nothing, as a listing finds it.
    #[cfg(test)]
    pub(crate) fn stopped(tags: Tags) -> Self {
        Self {
            tags,
            ..Self::new(State::Stopped, Instant::now())
        }
    }

    /// It runs since then, and what was known of an earlier run is not so any more.
    fn began(&mut self, now: Instant) {
        self.up_since = Some(now);
        self.started = String::new();
        self.pid = None;
        self.stop_asked = None;
    }
}

#[derive(Debug, Default)]
struct All {
    by_name: HashMap<String, Seen>,
    /// Those that went, and when: a listing that was asked for before may still have them.
    gone: HashMap<String, Instant>,
}

#[derive(Debug, Default)]
struct Health {
    /// When the engine last answered us; `None`: it is known not to.
    heard: Option<Instant>,
    /// The same of what listens to its events.
    events: Option<Heard>,
}

impl Health {
    fn last(&self) -> Option<Instant> {
        let events = self.events.as_ref().map(Heard::at);
        self.heard.map(|heard| heard.max(events.unwrap_or(heard)))
    }
}

/// What the engine has.
#[derive(Debug)]
pub(crate) struct Inventory {
    seen: RwLock<All>,
    health: watch::Sender<Health>,
    /// Whether a full listing is the base of what is seen.
    listed: watch::Sender<bool>,
    /// Whether somebody is looking if the engine answers.
    looking: AtomicBool,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            seen: RwLock::default(),
            health: watch::Sender::new(Health::default()),
            listed: watch::Sender::new(false),
            looking: AtomicBool::new(false),
        }
    }
}

impl Inventory {
    /// The engine gave a sign of life.
    pub(crate) fn heard(&self) {
        self.health
            .send_modify(|health| health.heard = Some(Instant::now()));
    }

    /// The engine did not answer.
    pub(crate) fn silent(&self) {
        self.health
            .send_if_modified(|health| health.heard.take().is_some());
    }

    /// Its events are listened to from now on: each is a sign of life.
    pub(crate) fn listening(&self, events: Heard) {
        self.health.send_modify(|health| {
            health.heard = Some(Instant::now());
            health.events = Some(events);
        });
    }

    /// Whether the engine answers, as far as is known without asking.
    pub(crate) fn health(&self) -> EngineHealth {
        match self.health.borrow().last() {
            Some(heard) if heard.elapsed() <= QUIET => EngineHealth::Ok,
            Some(_) | None => EngineHealth::Unreachable,
        }
    }

    /// Whether the engine is known not to answer.
    pub(crate) fn is_silent(&self) -> bool {
        self.health.borrow().heard.is_none()
    }

    /// Returns whether the engine gave a sign of life at `since` or later.
    pub(crate) fn is_heard_since(&self, since: Instant) -> bool {
        self.health
            .borrow()
            .last()
            .is_some_and(|last| last >= since)
    }

    /// Waits until the engine is known not to answer.
    pub(crate) async fn falls_silent(&self) {
        let mut health = self.health.subscribe();
        let _sender_is_here = health.wait_for(|health| health.heard.is_none()).await;
    }

    /// Claims the look whether the engine answers; false where somebody has it.
    pub(crate) fn begin_look(&self) -> bool {
        !self.looking.swap(true, Ordering::AcqRel)
    }

    /// Gives it back.
    pub(crate) fn end_look(&self) {
        self.looking.store(false, Ordering::Release);
    }

    /// How long ago the engine last gave a sign of life.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        self.health.borrow().last().map(|heard| heard.elapsed())
    }

    /// When the engine answers, again or still.
    pub(crate) async fn answers(&self) {
        let mut health = self.health.subscribe();
        health.mark_unchanged();
        let _sender_is_here = health.wait_for(|health| health.heard.is_some()).await;
    }

    /// When a full listing has been read at least once.
    pub(crate) async fn listed(&self) {
        let mut listed = self.listed.subscribe();
        let _sender_is_here = listed.wait_for(|listed| *listed).await;
    }

    /// Whether a full listing was read once.
    pub(crate) fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// Takes over a complete listing that was asked for then; answers with those that changed their
    /// state, and from what. What was seen since then is newer than the listing.
    pub(crate) fn replace(
        &self,
        all: Vec<Listed>,
        asked: Instant,
    ) -> Vec<(String, Option<State>, State)> {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let All { by_name, gone } = &mut *seen;
        gone.retain(|_, at| *at >= asked);
        let mut before = std::mem::take(by_name);
        let mut changed = Vec::new();
        for instance in all {
            if gone.contains_key(&instance.name) {
                continue;
            }
            let Listed {
                name,
                state,
                started,
                tags,
            } = instance;
            let old = before.remove(&name);
            let tagged = old.as_ref().and_then(|old| old.tagged);
            // What we have written since the listing was asked for is not in it.
            let tags = match &old {
                Some(newer) if tagged.is_some_and(|at| at >= asked) => newer.tags.clone(),
                Some(_) | None => tags,
            };
            let now = match old {
                Some(newer) if newer.at >= asked => Seen { tags, ..newer },
                old => {
                    // It was down and is up again, and nobody was told.
                    let again = old.as_ref().is_some_and(|old| {
                        old.state == State::Running
                            && !old.started.is_empty()
                            && old.started != started
                    });
                    let was = old.as_ref().map(|old| match again {
                        true => State::Stopped,
                        false => old.state,
                    });
                    if was != Some(state) {
                        changed.push((name.clone(), was, state));
                    }
                    let same = old.as_ref().filter(|_| was == Some(state));
                    let began = was.is_some() && was != Some(state) && state == State::Running;
                    Seen {
                        state,
                        login: same.map_or(Login::Unknown, |old| old.login),
                        up_since: match began && was != Some(State::Frozen) {
                            true => Some(asked),
                            false => old.as_ref().and_then(|old| old.up_since),
                        },
                        started,
                        pid: same.and_then(|old| old.pid),
                        doubted: old.as_ref().is_some_and(|old| old.doubted),
                        stop_asked: old.and_then(|old| old.stop_asked).filter(|_| !began),
                        at: asked,
                        tagged,
                        tags,
                    }
                }
            };
            by_name.insert(name, now);
        }
        by_name.extend(before.into_iter().filter(|(_, newer)| newer.at >= asked));
        drop(seen);
        self.listed.send_replace(true);
        changed
    }

    /// An instance is in this state from now on; answers with the one before.
    pub(crate) fn set(&self, instance: &str, state: State) -> Option<State> {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        seen.gone.remove(instance);
        let Some(known) = seen.by_name.get_mut(instance) else {
            let new = Seen {
                up_since: (state == State::Running).then_some(now),
                ..Seen::new(state, now)
            };
            seen.by_name.insert(instance.to_owned(), new);
            return None;
        };
        let was = known.state;
        known.at = now;
        if was != state {
            known.state = state;
            known.login = Login::Unknown;
            if state == State::Running && was != State::Frozen {
                known.began(now);
            }
        }
        Some(was)
    }

    /// An instance was down, and is up again.
    pub(crate) fn restarted(&self, instance: &str) {
        self.set(instance, State::Running);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            known.login = Login::Unknown;
            known.began(Instant::now());
        }
    }

    /// The init of an instance that runs, as the engine tells it.
    pub(crate) fn set_pid(&self, instance: &str, pid: u64) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            known.pid = (pid > 0 && known.state == State::Running).then_some(pid);
        }
    }

    /// Claims the try whether a login works; false where somebody has it.
    pub(crate) fn begin_doubt(&self, instance: &str) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let known = seen.by_name.get_mut(instance);
        known.is_some_and(|known| !std::mem::replace(&mut known.doubted, true))
    }

    /// Gives it back.
    pub(crate) fn end_doubt(&self, instance: &str) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            known.doubted = false;
        }
    }

    /// An instance was asked to shut down, and how it has stopped once it does; forgotten when it is
    /// started.
    pub(crate) fn asked_to_stop(&self, instance: &str, exit: Exit) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            known.stop_asked = Some((exit, Instant::now()));
        }
    }

    /// How an instance has stopped that had been asked to, a while ago at the most.
    pub(crate) fn stop_asked(&self, instance: &str) -> Option<Exit> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let (exit, at) = seen.by_name.get(instance)?.stop_asked.as_ref()?;
        (at.elapsed() < HEEDED).then(|| exit.clone())
    }

    /// Its init on this host, where it is known.
    pub(crate) fn pid(&self, instance: &str) -> Option<u64> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_name.get(instance)?.pid
    }

    /// Whether a login to an instance that runs works.
    pub(crate) fn set_login(&self, instance: &str, login: Login) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            known.login = login;
        }
    }

    /// What an instance's tags are from now on.
    pub(crate) fn set_tags(&self, instance: &str, change: impl FnOnce(&mut Tags)) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.by_name.get_mut(instance) {
            change(&mut known.tags);
            known.tagged = Some(Instant::now());
        }
    }

    /// There is no such instance any more.
    pub(crate) fn remove(&self, instance: &str) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.by_name.remove(instance);
        seen.gone.insert(instance.to_owned(), Instant::now());
    }

    /// What one instance does, and whether a login works.
    pub(crate) fn state(&self, instance: &str) -> Option<(State, Login)> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_name
            .get(instance)
            .map(|seen| (seen.state, seen.login))
    }

    /// What an instance says about itself.
    pub(crate) fn tags(&self, instance: &str) -> Option<Tags> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_name.get(instance).map(|seen| seen.tags.clone())
    }

    /// When an instance last began to run, if that was seen.
    pub(crate) fn up_since(&self, instance: &str) -> Option<Instant> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_name.get(instance)?.up_since
    }

    /// Its [`Tags::roomy`].
    pub(crate) fn roomy(&self, instance: &str) -> Option<u64> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.by_name.get(instance)?.tags.roomy
    }

    /// What `look` makes of all of them, by name; nothing changes meanwhile.
    pub(crate) fn all<T>(&self, look: impl FnOnce(&HashMap<String, Seen>) -> T) -> T {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        look(&seen.by_name)
    }

    /// The addresses and first user ids that instances have.
    pub(crate) fn in_use(&self) -> (Vec<Ipv4Addr>, Vec<u32>) {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let addresses = seen
            .by_name
            .values()
            .filter_map(|seen| seen.tags.address)
            .collect();
        let uids = seen
            .by_name
            .values()
            .filter_map(|seen| seen.tags.uid_base)
            .collect();
        (addresses, uids)
    }
}
