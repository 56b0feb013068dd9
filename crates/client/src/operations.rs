//! Operations as their caller sees them: begun, watched, waited for, and told as if the call had
//! waited itself.

use std::{convert::Infallible, time::Duration};

use containarium_contract::{
    Endpoint, Event, GetOperation, ListenEvents, Operation, OperationAnswer, OperationId,
    OperationState, Problem, Reason, StepState, WaitOperation,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{CallError, Client, Why, client::Manner};

/// How long one request waits for an end.
const ROUND: Duration = Duration::from_secs(30);
/// How long an answer may take beyond that.
const GRACE: Duration = Duration::from_secs(15);
/// How long the daemon may be away while it is waited for: it is being restarted.
const AWAY: Duration = Duration::from_secs(90);
/// Between two looks, where nothing holds them up.
const LOOK: Duration = Duration::from_secs(1);

/// What came of a change that was not to be waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun<A> {
    /// The operation that does it.
    Operation(Box<Operation>),
    /// It is done: the daemon is of a version that always waits.
    Done(A),
}

impl Client {
    /// Asks for a change without waiting for it.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn call_async<E: Endpoint>(
        &self,
        request: &E,
    ) -> Result<Begun<E::Answer>, CallError> {
        let reply = self.ask(request, Manner::RespondAsync).await?;
        if reply.is_accepted() {
            let OperationAnswer { operation } = reply.read()?;
            return Ok(Begun::Operation(Box::new(operation)));
        }
        Ok(Begun::Done(reply.read()?))
    }

    /// The operation once it is over, or as it is when `patience` is. A daemon that is restarted
    /// meanwhile is waited for.
    ///
    /// # Errors
    ///
    /// As [`Client::call`], and [`CallError::Lost`] where the daemon stays away.
    pub async fn wait(&self, id: &OperationId, patience: Duration) -> Result<Operation, CallError> {
        let until = Instant::now() + patience;
        let mut away = None;
        loop {
            let asked = Instant::now();
            let round = until.saturating_duration_since(asked).min(ROUND);
            let ask = WaitOperation {
                id: id.clone(),
                timeout: u32::try_from(round.as_secs()).unwrap_or_default(),
            };
            match self.impatient(round + GRACE).call(&ask).await {
                Ok(OperationAnswer { operation })
                    if operation.state.is_final() || Instant::now() >= until =>
                {
                    return Ok(operation);
                }
                Ok(_) => away = None,
                Err(error) if error.may_pass() => {
                    let since: &mut Instant = away.get_or_insert(asked);
                    let now = Instant::now();
                    if now >= until || now.duration_since(*since) > AWAY {
                        return Err(error.lost(id));
                    }
                }
                Err(error) => return Err(error),
            }
            sleep_until(asked + LOOK).await;
        }
    }

    /// Like [`Client::wait`], telling `on_progress` of the operation as it is and at each change.
    ///
    /// # Errors
    ///
    /// As [`Client::wait`].
    pub async fn watch(
        &self,
        begun: Operation,
        patience: Duration,
        mut on_progress: impl FnMut(&Operation),
    ) -> Result<Operation, CallError> {
        on_progress(&begun);
        let (id, target) = (begun.id.clone(), begun.target.clone());
        if begun.state.is_final() {
            return Ok(begun);
        }
        let mut last = begun;
        let mut see = |now: Operation| {
            if now != last {
                on_progress(&now);
                last = now;
            }
        };
        let end = tokio::select! {
            end = self.wait(&id, patience) => end?,
            never = self.looks(&id, target, &mut see) => match never {},
        };
        see(end.clone());
        Ok(end)
    }

    /// Asks for a change, tells `on_progress` of its operation as it is and at each change, and
    /// gives the answer that [`Client::call`] would.
    ///
    /// # Errors
    ///
    /// As [`Client::call`], and [`CallError::Lost`] where the daemon stays away.
    pub async fn follow<E: Endpoint>(
        &self,
        request: &E,
        on_progress: impl FnMut(&Operation),
    ) -> Result<E::Answer, CallError> {
        match self.call_async(request).await? {
            Begun::Done(answer) => Ok(answer),
            Begun::Operation(begun) => {
                let end = self.watch(*begun, self.patience_of::<E>(), on_progress);
                self.answer_of::<E>(end.await?)
            }
        }
    }

    /// The same without progress: nobody would see it. `on_begun` is told of the operation once.
    ///
    /// # Errors
    ///
    /// As [`Client::follow`].
    pub async fn finish<E: Endpoint>(
        &self,
        request: &E,
        on_begun: impl FnOnce(&Operation),
    ) -> Result<E::Answer, CallError> {
        let begun = match self.call_async(request).await? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Operation(begun) => *begun,
        };
        on_begun(&begun);
        let end = if begun.state.is_final() {
            begun
        } else {
            self.wait(&begun.id, self.patience_of::<E>()).await?
        };
        self.answer_of::<E>(end)
    }

    /// What the request that began `operation` answers.
    fn answer_of<E: Endpoint>(&self, operation: Operation) -> Result<E::Answer, CallError> {
        let id = operation.id.clone();
        let unreadable = |why: String| CallError::Protocol(format!("operation {id}: {why}"));
        match self.result_of(operation)? {
            Some(result) => serde_json::from_value(result).map_err(|e| unreadable(e.to_string())),
            None => Err(unreadable("it succeeded without a result".into())),
        }
    }

    /// What `operation` led to.
    ///
    /// # Errors
    ///
    /// It failed, was cancelled, or is not over.
    pub fn result_of(&self, operation: Operation) -> Result<Option<Value>, CallError> {
        let problem = match operation.state {
            OperationState::Succeeded => return Ok(operation.result),
            OperationState::Queued | OperationState::Running | OperationState::Cancelling => {
                let address = self.server().address();
                let why = Why::AnswerTimeout { address };
                return Err(CallError::Unreachable { why }.lost(&operation.id));
            }
            OperationState::Failed => operation.error.unwrap_or_else(|| {
                Problem::new(Reason::Internal, "it failed, and nobody said why")
            }),
            OperationState::Cancelled => operation
                .error
                .unwrap_or_else(|| Problem::new(Reason::Cancelled, "it was cancelled")),
        };
        Err(CallError::refused(problem.code, problem.to_body()))
    }

    /// Tells `see` of the operation at each change, for as long as it is polled: out of the events,
    /// or, where a daemon has none, by looking.
    async fn looks(
        &self,
        id: &OperationId,
        target: String,
        see: &mut impl FnMut(Operation),
    ) -> Infallible {
        let listen = ListenEvents {
            target: target.parse().ok(),
        };
        if let Ok(mut events) = self.events(listen, None).await {
            // What happened before anybody listened.
            self.look(id, see).await;
            while let Ok((_, event)) = events.next().await {
                match event {
                    Event::Operation { operation } if operation.id == *id => see(*operation),
                    Event::Reset {} => self.look(id, see).await,
                    Event::Operation { .. } | Event::Container { .. } => {}
                }
            }
        }
        loop {
            sleep(LOOK).await;
            self.look(id, see).await;
        }
    }

    /// A look that fails is for whoever waits for the end to tell.
    async fn look(&self, id: &OperationId, see: &mut impl FnMut(Operation)) {
        let ask = GetOperation { id: id.clone() };
        if let Ok(OperationAnswer { operation }) = self.impatient(GRACE).call(&ask).await {
            see(operation);
        }
    }
}

/// What an operation is doing in words, such as `downloading images:debian/13, 40 %`; `None` where
/// it is over, or nobody says.
pub fn doing(operation: &Operation) -> Option<String> {
    match operation.state {
        OperationState::Queued => Some("waiting for its turn".into()),
        OperationState::Cancelling => Some("being undone".into()),
        OperationState::Running => {
            let mut steps = operation.steps.iter();
            let step = steps.find(|step| step.state == StepState::Running)?;
            let words = step.doing.clone();
            let words = words.unwrap_or_else(|| step.name.replace(['_', '-'], " "));
            Some(match step.progress {
                Some(percent) => format!("{words}, {percent} %"),
                None => words,
            })
        }
        OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled => None,
    }
}
