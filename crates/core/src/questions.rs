//! Questions that reads ask the engine. A question is asked by one task at a time, whoever waits for
//! it, and keeps its newest answer. A read waits only while the engine gives signs of life: after a
//! moment of silence it is answered with what is known, and the task goes on without it.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use containarium_contract::{EngineHealth, Leak, Metrics};
use containarium_incus::{Environment, Error as Incus, PoolSpace, Resources};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{Containarium, Error, StoreError, admin::Found, images::Shelf};

/// One moment of waiting. Silence is counted in moments, so that a process which gets no processor for
/// a while does not mistake that for a silent engine.
const MOMENT: Duration = Duration::from_millis(10);
/// Moments in which the engine must give a first sign of life: 100 ms, which leaves as much for all else.
const PATIENCE: u32 = 10;
/// Moments in which an engine that lives, and takes long over its answer, must give another sign.
const LONGER: u32 = 50;

/// Questions about the whole installation. `samples` has those about one container.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// The engine's version, and what its host has.
    pub(crate) host: Question<Arc<(Environment, Resources, PoolSpace)>>,
    /// What every container uses, by the container's id.
    pub(crate) metrics: Question<Arc<HashMap<String, Metrics>>>,
    /// The images of our project.
    pub(crate) images: Question<Arc<Shelf>>,
    /// What was left behind in the engine and on its host.
    pub(crate) leaks: Question<Arc<Vec<Leak>>>,
    /// Finished containers that the store does not know.
    pub(crate) unclaimed: Question<Arc<Vec<Found>>>,
    /// Whether the engine does what we ask.
    pub(crate) trust: Question<bool>,
}

/// How a question was answered.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// By the engine, which was asked after the read had begun.
    Now(T),
    /// By the newest answer to an earlier ask, if there is one: the engine gives no sign of life.
    Earlier(Option<T>),
}

impl<T> Answer<T> {
    /// Returns whether the engine answered.
    pub(crate) fn engine(&self) -> EngineHealth {
        match self {
            Self::Now(_) => EngineHealth::Ok,
            Self::Earlier(_) => EngineHealth::Unreachable,
        }
    }

    /// Returns the newest answer there is.
    pub(crate) fn newest(self) -> Option<T> {
        match self {
            Self::Now(answer) => Some(answer),
            Self::Earlier(answer) => answer,
        }
    }
}

/// A question with its newest answer. Clones share both.
#[derive(Debug)]
pub(crate) struct Question<T>(Arc<watch::Sender<State<T>>>);

#[derive(Debug)]
struct State<T> {
    /// Asks that have begun; the last one is under way where fewer have ended.
    begun: u64,
    ended: u64,
    /// What came of the ask that ended last.
    last: Option<Result<T, Arc<Error>>>,
    /// The newest answer, and since when it is known.
    newest: Option<(Instant, T)>,
}

impl<T> Default for Question<T> {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State {
            begun: 0,
            ended: 0,
            last: None,
            newest: None,
        })))
    }
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone + Send + Sync + 'static> Question<T> {
    /// Returns the newest answer.
    pub(crate) fn newest(&self) -> Option<T> {
        let state = self.0.borrow();
        state.newest.as_ref().map(|(_, answer)| answer.clone())
    }

    /// Returns how old the newest answer is.
    pub(crate) fn age(&self) -> Option<Duration> {
        let state = self.0.borrow();
        state.newest.as_ref().map(|(since, _)| since.elapsed())
    }

    /// Takes over an answer that the engine gave elsewhere.
    pub(crate) fn learn(&self, answer: T) {
        let newest = Some((Instant::now(), answer));
        self.0.send_modify(|state| state.newest = newest);
    }

    /// Asks in the background, unless an ask is under way.
    pub(crate) fn ask<F>(&self, core: &Containarium, ask: impl FnOnce(Containarium) -> F)
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.ask_unless(u64::MAX, core, ask);
    }

    /// Asks in the background, unless an ask is under way or `enough` asks have ended.
    fn ask_unless<F>(&self, enough: u64, core: &Containarium, ask: impl FnOnce(Containarium) -> F)
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut begins = false;
        self.0.send_if_modified(|state| {
            begins = state.begun == state.ended && state.ended < enough;
            state.begun += u64::from(begins);
            // Nobody waits for a beginning.
            false
        });
        if !begins {
            return;
        }
        let ending = Ending(Some(self.clone()));
        let (core, asked) = (core.clone(), ask(core.clone()));
        let tasks = core.inner.tasks.clone();
        tasks.spawn(async move {
            let said = tokio::select! {
                said = asked => said,
                // An engine that is back is asked again, and does not have to end what it hung over.
                () = core.inner.inventory.falls_silent() => Err(Error::EngineSilent),
                () = core.inner.closing.cancelled() => Err(Error::Stopping),
            };
            ending.with(said);
        });
    }

    /// Asks and waits for the end, however long that takes. An ask that is under way is waited for and
    /// its answer not taken: the caller may have changed something since it began.
    async fn answer<F>(
        &self,
        core: &Containarium,
        ask: impl Fn(Containarium) -> F,
    ) -> Result<T, Arc<Error>>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut state = self.0.subscribe();
        let enough = state.borrow().begun + 1;
        loop {
            {
                let now = state.borrow_and_update();
                if let Some(last) = now.last.as_ref().filter(|_| now.ended >= enough) {
                    return last.clone();
                }
            }
            self.ask_unless(enough, core, &ask);
            let _sender_is_here = state.changed().await;
        }
    }
}

/// Writes down how an ask ended, also one whose task panicked: nobody would ask again.
struct Ending<T>(Option<Question<T>>);

impl<T> Ending<T> {
    fn with(mut self, said: Result<T, Error>)
    where
        T: Clone,
    {
        if let Some(question) = self.0.take() {
            let said = said.map_err(Arc::new);
            question.0.send_modify(|state| {
                state.ended = state.begun;
                if let Ok(answer) = &said {
                    state.newest = Some((Instant::now(), answer.clone()));
                }
                state.last = Some(said);
            });
        }
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if let Some(question) = &self.0 {
            let error = StoreError::Unreadable("a question's task ended early".into());
            question.0.send_modify(|state| {
                state.ended = state.begun;
                state.last = Some(Err(Arc::new(error.into())));
            });
        }
    }
}

impl Containarium {
    /// Answers a read with what the engine says to `ask`, or with the newest earlier answer as soon as
    /// the engine gives no sign of life.
    pub(crate) async fn answer<T, F>(
        &self,
        question: &Question<T>,
        ask: impl Fn(Self) -> F,
    ) -> Result<Answer<T>, Error>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let inventory = &self.inner.inventory;
        if self.health() == EngineHealth::Unreachable {
            return Ok(Answer::Earlier(question.newest()));
        }
        let mut answer = pin!(question.answer(self, ask));
        let mut patience = PATIENCE;
        loop {
            let since = Instant::now();
            self.look_at_engine();
            for _ in 0..patience {
                match timeout(MOMENT, &mut answer).await {
                    Err(_moment_is_over) => {}
                    Ok(Ok(said)) => return Ok(Answer::Now(said)),
                    Ok(Err(error)) => {
                        if matches!(*error, Error::EngineAway(Incus::Unreachable { .. })) {
                            inventory.silent();
                        }
                        let away = matches!(
                            *error,
                            Error::EngineAway(_) | Error::EngineSilent | Error::Stopping
                        );
                        return if away {
                            Ok(Answer::Earlier(question.newest()))
                        } else {
                            Err(Error::Shared(error))
                        };
                    }
                }
            }
            if !inventory.is_heard_since(since) {
                return Ok(Answer::Earlier(question.newest()));
            }
            patience = LONGER;
        }
    }
}

#[cfg(test)]
mod tests;
