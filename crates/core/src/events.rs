//! Listening to events: from where a listener was, exactly, to what happens now.

use containarium_contract::{Effect, Event, ListenEvents, Target};

use crate::{
    Containarium, Decision, Error, Principal, access::decide_about, operations::sees_all,
    store::Occurred,
};

/// An event with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its number; listening goes on behind it.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

/// A listener.
pub struct Telling {
    core: Containarium,
    who: Principal,
    target: Option<Target>,
    after: u64,
    ready: std::vec::IntoIter<Told>,
}

impl Containarium {
    /// Listens from behind the event `after`; from now on where there is none.
    pub async fn listen_events(
        &self,
        who: &Principal,
        ask: ListenEvents,
        after: Option<u64>,
    ) -> Result<Telling, Error> {
        let now = *self.inner.store.news().borrow();
        Ok(Telling {
            core: self.clone(),
            who: who.clone(),
            target: ask.target,
            after: after.unwrap_or(now),
            ready: Vec::new().into_iter(),
        })
    }
}

impl Telling {
    /// The next event that this listener may hear of; `None` when the daemon stops. May be dropped
    /// at any point without losing one.
    pub async fn next(&mut self) -> Result<Option<Told>, Error> {
        let store = &self.core.inner.store;
        let mut news = store.news();
        loop {
            if let Some(told) = self.ready.next() {
                return Ok(Some(told));
            }
            let last = *news.borrow_and_update();
            if last == self.after {
                tokio::select! {
                    changed = news.changed() => {
                        // The sender is in the store.
                        if changed.is_err() {
                            return Ok(None);
                        }
                    }
                    () = self.core.stopping() => return Ok(None),
                }
                continue;
            }
            let (found, lost) = store.events_after(self.after).await?;
            let mut ready = Vec::new();
            if lost {
                let first = found
                    .first()
                    .map_or(last, |first| first.seq.saturating_sub(1));
                ready.push(Told {
                    seq: first,
                    event: Event::Reset {},
                });
                self.after = first;
            }
            if let Some(last) = found.last() {
                self.after = last.seq;
            }
            ready.extend(found.into_iter().filter_map(|occurred| self.told(occurred)));
            self.ready = ready.into_iter();
        }
    }

    fn told(&self, occurred: Occurred) -> Option<Told> {
        let sought = self.target.as_ref();
        if sought.is_some_and(|target| target.as_str() != occurred.target) {
            return None;
        }
        let may = match &occurred.owner {
            Some(owner) => {
                let told = decide_about(&self.who, Effect::Read, owner, &occurred.target, true);
                told == Decision::Allow
            }
            None => sees_all(&self.who),
        };
        may.then_some(Told {
            seq: occurred.seq,
            event: occurred.event,
        })
    }
}
