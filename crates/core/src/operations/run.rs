//! One operation under way: what its task knows, writes down and shows.

use std::{sync::Arc, time::Duration};

use containarium_contract::{OperationState, Reason, StepState};
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Containarium, Error, StoreError, chain, clock,
    containarium::there,
    fault::Fault,
    starts::{Next, Starts, Turn},
    step::{Moment, Step, passing},
    store::{Op, Record, Tx},
    work::Work,
};

/// Between two looks at an engine that fails without being away.
const PAUSE: Duration = Duration::from_millis(250);
/// After so many attempts, each ended by a crash, it is given up.
const ATTEMPTS: u32 = 10;

/// How an operation's task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It succeeded, or the next daemon goes on with it.
    Well,
    /// It failed.
    Failed,
    /// It failed, and that cannot be written down.
    Unnoted,
}

/// An operation and its task.
pub(crate) struct Run {
    pub(crate) core: Containarium,
    op: Op,
    shown: watch::Sender<Arc<Op>>,
    cancel: CancellationToken,
    /// Monotonic: a clock that is set ends nothing.
    end: Instant,
    /// Steps that are done and not written down yet.
    unrecorded: Vec<Step>,
}

impl Run {
    pub(super) fn of(
        core: Containarium,
        op: Op,
        shown: watch::Sender<Arc<Op>>,
        cancel: CancellationToken,
    ) -> Self {
        let left = op.deadline.saturating_sub(clock::now_ms());
        let longest = op.deadline.saturating_sub(op.created_at);
        Self {
            core,
            op,
            shown,
            cancel,
            end: Instant::now() + Duration::from_millis(left.min(longest)),
            unrecorded: Vec::new(),
        }
    }

    /// Its work, in its turn, to its end or to where this daemon leaves it to the next.
    pub(super) async fn see_through(mut self) -> End {
        let core = self.core.clone();
        // One that was begun is not left in the middle: its own steps decide.
        let fresh = self.op.started_at.is_none();
        let claim = tokio::select! {
            biased;
            claim = core.inner.claims.claim(self.op.turn()) => Ok(claim),
            () = self.cancel.cancelled(), if fresh => Err(Error::Cancelled),
            () = sleep_until(self.end), if fresh => Err(Error::Overdue),
            () = core.inner.closing.cancelled() => return End::Well,
        };
        // Held until its end is written down.
        let _claim = match claim {
            Ok(claim) => claim,
            Err(error) => return self.conclude(Err(error)).await,
        };
        let mut done = self.taken_up().await;
        if done.is_ok() {
            done = self.work().await;
        }
        if let (Work::Delete { .. }, Err(failed)) = (&self.op.work, &done) {
            crate::delete::put_back(&mut self, failed).await;
        }
        self.conclude(done).await
    }

    async fn work(&mut self) -> Result<(), Error> {
        match self.op.work.clone() {
            Work::Create { notes, .. } => crate::create::run(self, notes).await,
            Work::Delete { force, keep } => crate::delete::run(self, force, keep).await,
            Work::Undelete { start } => crate::undelete::run(self, start).await,
            Work::Purge => crate::purge::run(self).await,
            Work::Start => crate::power::run_start(self).await,
            Work::Stop { force, timeout } => crate::power::run_stop(self, force, timeout).await,
            Work::AddSshKey { key } => crate::ssh_keys::run_add(self, key).await,
            Work::RemoveSshKey { fingerprint, force } => {
                crate::ssh_keys::run_remove(self, fingerprint, force).await
            }
            Work::PrepareImage {
                image,
                docker,
                force,
            } => crate::images::run_prepare(self, image, docker, force).await,
            Work::DeleteImage { image } => crate::images::run_delete(self, image).await,
            Work::Adopt { instances, all } => crate::admin::run_adopt(self, instances, all).await,
            Work::PurgeUnclaimed { instance } => {
                crate::admin::run_purge_unclaimed(self, instance).await
            }
        }
    }

    /// Notes that it runs, and how often that was.
    async fn taken_up(&mut self) -> Result<(), Error> {
        let again = self.op.state != OperationState::Queued;
        if again {
            self.op.attempt += 1;
        }
        if self.op.state == OperationState::Queued {
            self.op.state = OperationState::Running;
        }
        self.op.started_at.get_or_insert_with(clock::now_ms);
        if self.op.attempt > ATTEMPTS {
            return Err(Error::GivenUp(ATTEMPTS));
        }
        self.write(|_| Ok(())).await
    }

    async fn conclude(mut self, done: Result<(), Error>) -> End {
        let error = match done {
            Ok(()) => return End::Well,
            // The next daemon goes on with it.
            Err(Error::Suspended(_)) => return End::Well,
            Err(error) => error,
        };
        let id = self.op.id.clone();
        let fault = Fault::from(&error);
        if fault.reason.status() >= 500 {
            tracing::error!(operation = %id, error = %chain(&error), "failed");
        } else {
            tracing::info!(operation = %id, %error, "not done");
        }
        self.op.state = if fault.reason == Reason::Cancelled {
            OperationState::Cancelled
        } else {
            OperationState::Failed
        };
        for step in &mut self.op.steps {
            if step.state == StepState::Running {
                step.state = StepState::Failed;
                step.ended_at = Some(clock::now_ms());
            }
        }
        self.op.error = Some(fault);
        if let Err(e) = self.write(|_| Ok(())).await {
            // So it is not over: it is taken up again, and whoever waits is told that.
            tracing::error!(operation = %id, error = %e, "its end is not noted");
            return End::Unnoted;
        }
        End::Failed
    }

    pub(crate) fn op(&self) -> &Op {
        &self.op
    }

    /// The container it is about, as the store knows it now.
    pub(crate) fn record(&self) -> Option<Arc<Record>> {
        let id = self.op.container.as_deref()?;
        self.core.inner.store.container_by_id(id)
    }

    /// The same where there must be one.
    pub(crate) fn known_record(&self) -> Result<Arc<Record>, Error> {
        self.record().ok_or_else(|| match self.op.target.parse() {
            Ok(username) => Error::NoContainer(username),
            Err(_) => Error::NoOperation(self.op.id.clone()),
        })
    }

    /// The same where it must still be there for its users: what waited for its turn may come after
    /// a delete.
    pub(crate) fn ready_record(&self) -> Result<Arc<Record>, Error> {
        there(self.known_record()?)
    }

    /// Whether an earlier attempt came through this step.
    pub(crate) fn is_done(&self, step: Step) -> bool {
        let found = self.op.steps.iter().find(|known| known.step == step);
        found.is_some_and(|known| known.state == StepState::Succeeded)
    }

    /// Whether this step was begun.
    pub(crate) fn is_begun(&self, step: Step) -> bool {
        let found = self.op.steps.iter().find(|known| known.step == step);
        found.is_some_and(|known| known.state != StepState::Pending)
    }

    /// Whether an earlier daemon began it, so that anything may be so.
    pub(crate) fn is_resumed(&self) -> bool {
        self.op.attempt > 1
    }

    /// Begins a step: where somebody asked to cancel, or the time is over, it is not begun.
    pub(crate) fn begin(&mut self, step: Step) -> Result<(), Error> {
        self.check()?;
        self.begin_anyway(step);
        Ok(())
    }

    /// Begins a step from which there is no way back.
    pub(crate) fn begin_anyway(&mut self, step: Step) {
        passing(self.op.kind(), step, Moment::Before);
        self.op.begins(step, clock::now_ms());
        self.show();
    }

    /// Writes down that a step is done, and what else is so since then.
    pub(crate) async fn done(
        &mut self,
        step: Step,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.passed(step);
        self.write(also).await
    }

    /// Writes down that all of it is done.
    pub(crate) async fn succeed(
        &mut self,
        result: &impl Serialize,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        let result = serde_json::to_value(result);
        let result = result.map_err(|e| StoreError::Unreadable(e.to_string()))?;
        self.passed(Step::Commit);
        let before = self.op.state;
        self.op.state = OperationState::Succeeded;
        self.op.result = Some(result);
        if let Err(e) = self.write(also).await {
            self.op.state = before;
            self.op.result = None;
            return Err(e);
        }
        Ok(())
    }

    /// Writes down why it fails, and what else is so, before what was begun is undone.
    pub(crate) async fn fail_with(
        &mut self,
        error: &Error,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.op.error = Some(Fault::from(error));
        self.write(also).await
    }

    /// It is done in another way from here on: what is done already stays done.
    pub(crate) async fn plan(&mut self, work: Work) -> Result<(), Error> {
        self.op.plan(work);
        self.write(|_| Ok(())).await
    }

    /// Why it failed, where an earlier daemon noted that.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.op.error.clone().map(Error::Failed)
    }

    /// A step is done; it is written down with the next.
    pub(crate) fn passed(&mut self, step: Step) {
        passing(self.op.kind(), step, Moment::Done);
        self.op.passed(step, clock::now_ms());
        self.unrecorded.push(step);
    }

    /// How long ago it was asked for.
    pub(crate) fn took(&self) -> Duration {
        Duration::from_millis(clock::now_ms().saturating_sub(self.op.created_at))
    }

    /// Tells what a step is doing, to those who watch now.
    pub(crate) fn say(&mut self, step: Step, doing: String, progress: Option<u8>) {
        if let Some(known) = self.op.steps.iter_mut().find(|known| known.step == step) {
            known.doing = Some(doing);
            // Its stages begin anew, the whole does not.
            known.progress = known.progress.max(progress);
        }
        self.show();
    }

    /// Its turn to have the engine start a container; its place in the queue is told meanwhile. How long
    /// others take is no time of its own.
    pub(crate) async fn turn<'s>(
        &mut self,
        starts: &'s Starts,
        step: Step,
    ) -> Result<Turn<'s>, Error> {
        let begun = Instant::now();
        let mut place = starts.place();
        loop {
            let next = tokio::select! {
                biased;
                next = place.next() => next,
                () = self.cancel.cancelled() => return Err(Error::Cancelled),
                () = self.core.inner.closing.cancelled() => {
                    return Err(Error::Suspended(self.op.id.clone()));
                }
            };
            match next {
                Next::Turn(turn) => {
                    let waited = begun.elapsed();
                    self.end += waited;
                    let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                    self.op.deadline = self.op.deadline.saturating_add(waited);
                    self.op.waited(step, waited, clock::now_ms());
                    self.show();
                    return Ok(turn);
                }
                Next::Before(before) => {
                    self.say(step, in_line(before), None);
                    self.write(|_| Ok(())).await?;
                }
            }
        }
    }

    /// Writes down what is so now, and what it is doing, for those who listen to events.
    pub(crate) async fn note(
        &mut self,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.write(also).await
    }

    /// Writes the operation as it is, and what else is so, in one transaction; then shows it.
    async fn write(
        &mut self,
        also: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.op.updated_at = clock::now_ms();
        if self.cancel.is_cancelled() && self.op.state == OperationState::Running {
            self.op.state = OperationState::Cancelling;
        }
        let op = self.op.clone();
        self.core
            .inner
            .store
            .write(move |tx| {
                also(tx)?;
                tx.put(&op)
            })
            .await?;
        for step in self.unrecorded.drain(..) {
            passing(self.op.kind(), step, Moment::Recorded);
        }
        // Before anybody is told of its end, who may look at once.
        self.core.inner.timings.record(&self.op);
        self.show();
        Ok(())
    }

    fn show(&self) {
        self.shown.send_replace(Arc::new(self.op.clone()));
    }

    /// An error where it shall not go on: somebody asked, or its time is over.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= self.end {
            return Err(Error::Overdue);
        }
        Ok(())
    }

    /// Whether somebody asked to cancel.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// From here on nobody's wish to cancel is heard: what is done cannot be taken back.
    pub(crate) fn no_way_back(&mut self) {
        self.cancel = CancellationToken::new();
    }

    /// When it shall not go on: somebody asks, or its time is over.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = sleep_until(self.end) => {}
        }
    }

    /// When somebody asks to cancel.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.cancel.clone().cancelled_owned()
    }

    /// More time than was thought, from now: an image must be prepared first.
    pub(crate) fn extend(&mut self, by: Duration) {
        self.end = self.end.max(Instant::now() + by);
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let end = clock::now_ms().saturating_add(by);
        self.op.deadline = self.op.deadline.max(end);
    }

    /// Waits until the engine answers again.
    pub(crate) async fn engine_back(&mut self, why: &Error) -> Result<(), Error> {
        tracing::info!(operation = %self.op.id, error = %chain(why), "waiting for the engine");
        let inventory = Arc::clone(&self.core.inner.inventory);
        loop {
            self.check().map_err(|over| match over {
                Error::Overdue => Error::EngineSilent,
                other => other,
            })?;
            if self.core.inner.closing.is_cancelled() {
                return Err(Error::Suspended(self.op.id.clone()));
            }
            let asked = timeout(Duration::from_secs(5), self.core.inner.engine.server());
            if matches!(asked.await, Ok(Ok(_))) {
                inventory.heard();
                return Ok(());
            }
            inventory.silent();
            let pause = Instant::now() + PAUSE;
            tokio::select! {
                () = inventory.answers() => {}
                () = sleep_until(pause) => {}
                () = self.cancel.cancelled() => {}
                () = self.core.inner.closing.cancelled() => {}
            }
        }
    }

    /// Waits for what the engine still does to an instance since an earlier daemon asked for it.
    pub(crate) async fn settled(&mut self, instance: &str) -> Result<(), Error> {
        if !self.is_resumed() {
            return Ok(());
        }
        let core = self.core.clone();
        Ok(self.insist(|| core.inner.engine.settle(instance)).await??)
    }

    /// The same for a change of an instance: one whose answer was cut off may still be under way, and
    /// the engine then refuses the same again until it is over.
    pub(crate) async fn insist_on<T, Fut>(
        &mut self,
        instance: &str,
        mut ask: impl FnMut() -> Fut,
    ) -> Said<T>
    where
        Fut: Future<Output = Result<T, containarium_incus::Error>>,
    {
        let core = self.core.clone();
        loop {
            let error = match ask().await {
                Ok(done) => return Ok(Ok(done)),
                Err(error) => error,
            };
            let busy = matches!(error, containarium_incus::Error::Busy(_));
            if away(&error) {
                self.engine_back(&Error::EngineSilent).await?;
            } else if !busy || self.check().is_err() {
                return Ok(Err(error));
            }
            if let Err(error) = self.insist(|| core.inner.engine.settle(instance)).await? {
                return Ok(Err(error));
            }
            if busy {
                sleep_until(Instant::now() + PAUSE).await;
            }
        }
    }

    /// Does `ask` until the engine has said something about it.
    pub(crate) async fn insist<T, Fut>(&mut self, mut ask: impl FnMut() -> Fut) -> Said<T>
    where
        Fut: Future<Output = Result<T, containarium_incus::Error>>,
    {
        loop {
            match ask().await {
                Err(error) if away(&error) => self.engine_back(&Error::EngineSilent).await?,
                said => return Ok(said),
            }
        }
    }
}

/// What the engine said; an error where nobody waits for that any more: the operation was cancelled, its
/// time is over, or this daemon leaves it to the next.
pub(crate) type Said<T> = Result<Result<T, containarium_incus::Error>, Error>;

/// One's place in the queue, in words.
fn in_line(before: usize) -> String {
    match before {
        0 => "waiting for its turn to start: it is the next".into(),
        before => format!("waiting for its turn to start: {before} before it"),
    }
}

/// Whether this says nothing but that the engine did not answer.
pub(crate) fn away(error: &containarium_incus::Error) -> bool {
    error.outcome_unknown() || matches!(error, containarium_incus::Error::Unreachable { .. })
}
