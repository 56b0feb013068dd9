//! One name, what is done to it, and what may be so then: known from the answers, and where none came
//! in either of two ways.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Calls, Outcome, key};
use crate::Answer;

/// What its owner sees of a name, and whether a deleted one can be brought back (and would run).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct So {
    pub(super) now: Now,
    pub(super) kept: Option<Now>,
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Now {
    Absent,
    Running,
    Stopped,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Create,
    Delete,
    Remove,
    Undelete,
    Start,
    Stop,
}

impl Deed {
    /// Something that makes sense there; `draw` is anything below 100.
    fn of(so: So, draw: usize) -> Self {
        match (so.now, so.kept) {
            (Now::Absent, Some(_)) if draw < 60 => Self::Undelete,
            (Now::Absent, _) => Self::Create,
            // One at the most is kept of each name, so that it is known which comes back.
            (_, Some(_)) if draw < 50 => Self::Remove,
            (_, None) if draw < 25 => Self::Delete,
            (_, None) if draw < 50 => Self::Remove,
            (Now::Running, _) if draw < 90 => Self::Stop,
            (Now::Running | Now::Stopped, _) => Self::Start,
        }
    }

    /// What is so when it is done.
    fn done(self, so: So) -> So {
        let now = match self {
            Self::Create | Self::Start => Now::Running,
            Self::Delete | Self::Remove => Now::Absent,
            Self::Stop => Now::Stopped,
            Self::Undelete => so.kept.unwrap_or(so.now),
        };
        let kept = match self {
            Self::Delete => Some(so.now),
            Self::Undelete => None,
            Self::Create | Self::Remove | Self::Start | Self::Stop => so.kept,
        };
        So { now, kept }
    }

    /// What else may be so where it failed half way.
    fn half(self, so: So) -> Option<So> {
        match self {
            // It is back, and what failed was its start.
            Self::Undelete => Some(So {
                now: Now::Stopped,
                kept: None,
            }),
            // Stopped, and what failed was to keep or remove it.
            Self::Delete | Self::Remove => Some(So {
                now: Now::Stopped,
                ..so
            }),
            Self::Create | Self::Start | Self::Stop => None,
        }
    }

    fn request(self, name: &str, made: &Value) -> (&'static str, String, Option<Value>) {
        let at = format!("/v1/containers/{name}");
        match self {
            Self::Create => ("POST", "/v1/containers".into(), Some(made.clone())),
            Self::Delete => ("DELETE", format!("{at}?force=true"), None),
            Self::Remove => ("DELETE", format!("{at}?force=true&purge=true"), None),
            Self::Undelete => ("POST", format!("{at}/undelete"), Some(json!({}))),
            Self::Start => ("POST", format!("{at}/start"), Some(json!({}))),
            Self::Stop => ("POST", format!("{at}/stop"), Some(json!({"force": true}))),
        }
    }
}

/// A request that was sent.
#[derive(Clone, Debug)]
struct Sent {
    deed: Deed,
    key: String,
    before: So,
    /// The answer, where one came.
    answer: Option<Answer>,
}

/// One name and all that is known of it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: String,
    /// What creates it.
    made: Value,
    /// What may be so.
    pub(super) may: BTreeSet<So>,
    last: Option<Sent>,
    /// Creates that were acknowledged.
    pub(super) created: u64,
    /// All that was acknowledged.
    pub(super) acknowledged: u64,
    /// Requests without an answer.
    pub(super) unanswered: u64,
    /// Requests that were refused or failed, and how.
    pub(super) refused: u64,
}

impl Worker {
    pub(super) fn new(name: String, made: Value) -> Self {
        let nothing = So {
            now: Now::Absent,
            kept: None,
        };
        Self {
            name,
            made,
            may: [nothing].into(),
            last: None,
            created: 0,
            acknowledged: 0,
            unanswered: 0,
            refused: 0,
        }
    }

    /// Does some things, one after the other, until one is not answered.
    pub(super) async fn work(&mut self, calls: &Calls, draws: &[usize]) {
        for draw in draws {
            let &[before] = self.may.iter().collect::<Vec<_>>().as_slice() else {
                return;
            };
            let sent = Sent {
                deed: Deed::of(*before, *draw),
                key: key(),
                before: *before,
                answer: None,
            };
            self.last = Some(sent);
            self.send(calls).await;
        }
    }

    /// Sends the last request, for the first time or again, and notes what may be so then.
    async fn send(&mut self, calls: &Calls) {
        let Some(mut sent) = self.last.clone() else {
            return;
        };
        let (method, path, body) = sent.deed.request(&self.name, &self.made);
        let outcome = calls
            .ask(method, &path, Some(&sent.key), body.as_ref())
            .await;
        let done = sent.deed.done(sent.before);
        match outcome {
            Outcome::Answered(answer) if answer.status < 300 => {
                self.may = [done].into();
                self.acknowledged += 1;
                self.created += u64::from(sent.deed == Deed::Create);
                sent.answer = Some(answer);
            }
            Outcome::Answered(answer) => {
                self.refused += 1;
                self.may = [sent.before].into();
                // What was written down and then failed, and what a stopping daemon leaves to the next.
                if answer.status >= 500 {
                    self.may.insert(done);
                    self.may.extend(sent.deed.half(sent.before));
                }
                sent.answer = Some(answer);
            }
            Outcome::Unknown(_) => {
                self.unanswered += 1;
                self.may = [sent.before, done].into();
                self.may.extend(sent.deed.half(sent.before));
            }
        }
        self.last = Some(sent);
    }

    /// Asks again what was not answered, under the same key, until it is; then it is known.
    pub(super) async fn ask_again(&mut self, calls: &Calls) -> Result<(), String> {
        for _ in 0..600 {
            let Some(sent) = &self.last else {
                return Ok(());
            };
            match &sent.answer {
                None => {}
                Some(answer) if answer.is_for_later() => {}
                Some(_) => return Ok(()),
            }
            self.send(calls).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(format!("{}: never answered: {:?}", self.name, self.last))
    }

    /// Asks again what was acknowledged: the same key is the same operation and the same answer.
    pub(super) async fn repeat(&self, calls: &Calls) -> Result<(), String> {
        let Some(Sent {
            deed,
            key,
            answer: Some(answer),
            ..
        }) = &self.last
        else {
            return Ok(());
        };
        if answer.status >= 300 {
            return Ok(());
        }
        let (method, path, body) = deed.request(&self.name, &self.made);
        let of = |answer: &Answer| answer.header("containarium-operation").map(str::to_owned);
        match calls.ask(method, &path, Some(key), body.as_ref()).await {
            Outcome::Answered(again) if of(&again) == of(answer) && again.body == answer.body => {
                Ok(())
            }
            other => Err(format!(
                "{}: {deed:?} was answered {answer:?}, and again with the same key {other:?}",
                self.name
            )),
        }
    }

    /// Takes over what is so, which must be what may be. Whether one that is kept would run is not to
    /// be seen.
    pub(super) fn found(
        &mut self,
        now: Now,
        kept: bool,
        started_by_itself: &mut u64,
    ) -> Result<(), String> {
        let stopped = |so: &So| so.now == Now::Stopped && so.kept.is_some() == kept;
        let running = |so: &So| so.now == Now::Running && so.kept.is_some() == kept;
        if now == Now::Running && self.may.iter().any(stopped) && !self.may.iter().any(running) {
            // As it was told; that Incus starts one that was stopped just before is counted.
            *started_by_itself += 1;
            let woken = self.may.iter().filter(|so| stopped(so));
            self.may = woken.map(|so| So { now, ..*so }).collect();
            return Ok(());
        }
        let fits = |so: &So| so.now == now && so.kept.is_some() == kept;
        let fitting: BTreeSet<So> = self.may.iter().copied().filter(fits).collect();
        if !fitting.is_empty() {
            self.may = fitting;
            return Ok(());
        }
        let kept = kept.then_some(Now::Running);
        let may = std::mem::replace(&mut self.may, [So { now, kept }].into());
        Err(format!(
            "{} is {now:?}, kept {kept:?}, and should be one of {may:?}; the last request was {:?}",
            self.name, self.last
        ))
    }
}
