//! A change whose answer was lost: when it is asked for again, and what is told where that does not
//! help either. Under one key it is made once, however often it is asked for.

use std::{ops::ControlFlow, time::Duration};

use crate::{CallError, Why, reply::Reply};

/// Before each further try: together as long as a daemon takes to be back.
pub(crate) const PAUSES: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// A daemon that wants more time than this is not about to be back.
const LONGEST: Duration = Duration::from_secs(5);

/// The tries of one change.
#[derive(Debug)]
pub(crate) struct Again {
    pauses: &'static [Duration],
    /// Whether there was a try before.
    began: bool,
    /// What is told in the end: the first loss, for since then it may have been done.
    lost: Option<CallError>,
}

impl Again {
    /// A try before each of `pauses`, and one after the last.
    pub(crate) fn new(pauses: &'static [Duration]) -> Self {
        Self {
            pauses,
            began: false,
            lost: None,
        }
    }

    /// What to do after a try that ended in `done`: wait and try again, where that is within what is
    /// `left` of the patience; or tell.
    pub(crate) fn after(
        &mut self,
        done: Result<Reply, CallError>,
        left: Duration,
    ) -> ControlFlow<Result<Reply, CallError>, Duration> {
        let least = match &done {
            Ok(reply) => reply.stopping(),
            Err(CallError::Unreachable { why }) => match why {
                Why::Broken { .. } => Some(Duration::ZERO),
                // The one that was asked is being restarted.
                Why::Refused { .. }
                | Why::NoRoute { .. }
                | Why::DialTimeout { .. }
                | Why::Dial { .. }
                | Why::NoSuchHost { .. } => self.began.then_some(Duration::ZERO),
                // All of the patience is used up, or this machine is what stands in the way.
                Why::AnswerTimeout { .. } | Why::NoTls { .. } => None,
            },
            Err(
                CallError::Api { .. }
                | CallError::Lost { .. }
                | CallError::Protocol(_)
                | CallError::Token(_),
            ) => None,
        };
        let pause = least.and_then(|least| {
            let (pause, rest) = self.pauses.split_first()?;
            self.pauses = rest;
            Some((*pause).max(least.min(LONGEST)))
        });
        self.began = true;
        match (pause.filter(|pause| *pause < left), done) {
            (Some(pause), done) => {
                if let Err(error) = done {
                    self.lost.get_or_insert(error);
                }
                ControlFlow::Continue(pause)
            }
            (None, Err(error @ CallError::Unreachable { .. })) => {
                ControlFlow::Break(Err(self.lost.take().unwrap_or(error)))
            }
            (None, done) => ControlFlow::Break(done),
        }
    }
}
