//! Operations: written down before they begin, seen to their end by one task each, watched by
//! whoever wants to. What each kind does is in the file of its verb.

mod look;
mod run;

use std::{
    collections::{HashMap, HashSet},
    marker::PhantomData,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use containarium_contract::{
    Effect, Endpoint, OperationId, OperationKind, OperationState, Subject,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use look::decided;
pub(crate) use look::sees_all;
use run::End;
pub(crate) use run::{Run, away};

use crate::{
    Asked, Containarium, Decision, Error, Principal, Record, StoreError,
    asked::Twin,
    clock,
    containarium::operation_id,
    create::{Held, reserved},
    principal::Limit,
    step::{Moment, passing},
    store::{Op, Request, Reservation, StepRecord, Tx},
    work::Work,
};

/// How long an operation rests whose end cannot be written down, such as where the state directory's disk
/// is full.
const REST: Duration = Duration::from_secs(3);

/// An operation that has a task.
#[derive(Clone, Debug)]
struct Live {
    now: watch::Receiver<Arc<Op>>,
    cancel: CancellationToken,
}

/// The operations that have a task.
#[derive(Debug)]
pub(crate) struct Operations {
    all: Mutex<HashMap<OperationId, Live>>,
    /// Whether there are none.
    idle: watch::Sender<bool>,
}

impl Default for Operations {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            idle: watch::Sender::new(true),
        }
    }
}

impl Operations {
    fn get(&self, id: &OperationId) -> Option<Live> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).cloned()
    }

    /// False where it has a task already.
    fn put(&self, id: OperationId, live: Live) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !all.contains_key(&id);
        if free {
            all.insert(id, live);
            self.idle.send_replace(false);
        }
        free
    }

    fn remove(&self, id: &OperationId) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id);
        self.idle.send_replace(all.is_empty());
    }

    /// Those that have a task.
    pub(crate) fn ids(&self) -> HashSet<OperationId> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }

    /// The ids of the containers that some operation works on, or is about to.
    pub(crate) fn busy(&self) -> HashSet<String> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values()
            .filter_map(|live| live.now.borrow().container.clone())
            .collect()
    }

    /// The create that is under way and the same as this one.
    fn twin(&self, twin: &Twin) -> Option<OperationId> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |live: &&Live| !live.cancel.is_cancelled() && twin.is(&live.now.borrow());
        let found = all.values().find(same)?;
        let id = found.now.borrow().id.clone();
        Some(id)
    }

    /// Whether nobody is at work.
    pub(crate) fn is_idle(&self) -> bool {
        *self.idle.borrow()
    }

    /// When nobody is at work.
    pub(crate) async fn idle(&self) {
        let mut idle = self.idle.subscribe();
        let _sender_is_here = idle.wait_for(|idle| *idle).await;
    }

    /// Whether an operation works on this container, or is about to.
    pub(crate) fn is_busy(&self, container: &str) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values()
            .any(|live| live.now.borrow().container.as_deref() == Some(container))
    }
}

/// A change that is written down and will be done. What it answers is awaited with
/// [`Containarium::done`].
#[derive(Clone, Debug)]
pub struct Begun<E> {
    /// Its operation.
    pub id: OperationId,
    answer: PhantomData<fn() -> E>,
}

/// What came of writing a change down.
enum Submitted {
    New(Box<Op>),
    /// The same request began this one.
    Known(OperationId),
    Refused(Error),
}

/// What is to be written down.
pub(crate) struct Plan {
    pub(crate) target: String,
    pub(crate) container: Option<String>,
    pub(crate) owner: Option<Subject>,
    pub(crate) work: Work,
    /// When it is given up.
    pub(crate) within: Duration,
    /// What a create holds from the moment it is written down.
    pub(crate) reserve: Option<Reservation>,
    /// What must not be full, in that moment.
    pub(crate) limits: Vec<Limit>,
}

impl Plan {
    /// A change of a container that is there.
    pub(crate) fn about(record: &Record, work: Work, within: Duration) -> Self {
        Self {
            target: record.username.to_string(),
            container: Some(record.id.clone()),
            owner: Some(record.owner.clone()),
            work,
            within,
            reserve: None,
            limits: Vec::new(),
        }
    }
}

impl Containarium {
    /// Writes a change down, unless the same request has already, and begins it. `plan` judges the
    /// request.
    pub(crate) async fn begin<E: Endpoint>(
        &self,
        asked: Asked,
        ask: &E,
        plan: impl Future<Output = Result<Plan, Error>>,
    ) -> Result<Begun<E>, Error> {
        self.begin_or_join(asked, ask, None, plan).await
    }

    /// The same; and where `twin` is under way already, that is what was begun.
    pub(crate) async fn begin_or_join<E: Endpoint>(
        &self,
        asked: Asked,
        ask: &E,
        twin: Option<Twin>,
        plan: impl Future<Output = Result<Plan, Error>>,
    ) -> Result<Begun<E>, Error> {
        let begun = |id| Begun {
            id,
            answer: PhantomData,
        };
        let request = asked.request(ask)?;
        // Before it is judged: the first was, and whether the engine answers by now is its affair.
        let known = self.begun_before(&asked.who, request.as_ref(), twin.as_ref());
        if let Some(known) = known.await? {
            return Ok(begun(known));
        }
        if self.inner.closing.is_cancelled() {
            return Err(Error::Stopping);
        }
        let mut plan = match plan.await {
            Ok(plan) => plan,
            Err(refused) => {
                // Meanwhile the same request may have been begun, and even have ended.
                let known = self.begun_before(&asked.who, request.as_ref(), twin.as_ref());
                return known.await?.map(begun).ok_or(refused);
            }
        };
        let reserve = plan.reserve.take();
        let limits = mem::take(&mut plan.limits);
        let mut op = op(&asked, plan);
        let this = self.clone();
        // Once it is written down it has a task, whether its caller still waits or not.
        self.to_the_end(async move {
            let core = this.clone();
            let submitted = this.inner.store.write(move |tx| {
                if let Some(known) = tx.begun_by(request.as_ref(), clock::now())? {
                    return Ok(Submitted::Known(known));
                }
                let held = match reserve {
                    Some(wanted) => {
                        let twin = twin.as_ref();
                        reserved(tx, &mut op, &core, &asked.who, twin, wanted, &limits)
                    }
                    None => within(tx, &limits).map(|()| Held::New),
                };
                match held {
                    Ok(Held::New) => {}
                    Ok(Held::ByTwin(id)) => {
                        let id = tx.join(request.as_ref(), id, clock::now())?;
                        return Ok(Submitted::Known(id));
                    }
                    Err(error) => return Ok(Submitted::Refused(error)),
                }
                tx.insert(&op, request.as_ref())?;
                Ok(Submitted::New(Box::new(op)))
            });
            match submitted.await? {
                Submitted::Known(known) => Ok(begun(known)),
                Submitted::Refused(error) => Err(error),
                Submitted::New(op) => {
                    // What was held for it was written down with it.
                    for step in op.steps_done() {
                        passing(op.kind(), step, Moment::Recorded);
                    }
                    let id = op.id.clone();
                    this.see_to(*op);
                    Ok(begun(id))
                }
            }
        })
        .await
    }

    /// What the same request of `who` began: the operation that its key names, or the create that is
    /// under way. A subject's keys are those of all its tokens: one that is restricted does not get what
    /// another asked for and it may not see.
    async fn begun_before(
        &self,
        who: &Principal,
        request: Option<&Request>,
        twin: Option<&Twin>,
    ) -> Result<Option<OperationId>, Error> {
        let (store, now) = (&self.inner.store, clock::now());
        if let Some(request) = request.cloned()
            && let Some(known) = store.begun_by(request, now).await?
        {
            return self.if_seen(who, known).await;
        }
        let Some(known) = twin.and_then(|twin| self.inner.operations.twin(twin)) else {
            return Ok(None);
        };
        let Some(known) = self.if_seen(who, known).await? else {
            return Ok(None);
        };
        let Some(request) = request.cloned() else {
            return Ok(Some(known));
        };
        let joined = store.write(move |tx| tx.join(Some(&request), known, now));
        Ok(joined.await.map(Some)?)
    }

    /// The operation, where `who` may see it.
    async fn if_seen(
        &self,
        who: &Principal,
        id: OperationId,
    ) -> Result<Option<OperationId>, Error> {
        if !who.is_restricted_to_names() {
            return Ok(Some(id));
        }
        let op = self.inner.store.operation(id).await?;
        let seen = op.filter(|op| decided(who, Effect::Read, op) == Decision::Allow);
        Ok(seen.map(|op| op.id))
    }

    /// Begins a change of our own accord.
    pub(crate) async fn begin_ourselves(&self, cause: &str, plan: Plan) -> Result<(), Error> {
        let actor: Subject = OURSELVES
            .parse()
            .unwrap_or_else(|_| unreachable!("it is a subject"));
        let asked = Asked {
            who: Principal {
                subject: actor,
                roles: Vec::new(),
                restrictions: Vec::new(),
            },
            key: None,
            cause: cause.to_owned(),
        };
        let op = op(&asked, plan);
        let written = op.clone();
        self.inner
            .store
            .write(move |tx| tx.insert(&written, None))
            .await?;
        self.see_to(op);
        Ok(())
    }

    /// Gives an operation a task, unless it has one.
    pub(crate) fn see_to(&self, op: Op) {
        self.give_task(op, false);
    }

    /// The same for one that was found in the store without a task. Since it was read there it may
    /// have ended, so it is looked at again once no other task can have it.
    pub(crate) fn resume(&self, op: Op) {
        // A daemon that is stopping has just put it down, for the next.
        if !self.inner.bench.closing.is_cancelled() {
            self.give_task(op, true);
        }
    }

    fn give_task(&self, op: Op, found: bool) {
        let (sender, now) = watch::channel(Arc::new(op));
        let cancel = CancellationToken::new();
        let op = Arc::clone(&now.borrow());
        if op.state == OperationState::Cancelling {
            cancel.cancel();
        }
        let id = op.id.clone();
        let live = Live {
            now,
            cancel: cancel.clone(),
        };
        if !self.inner.operations.put(id.clone(), live) {
            return;
        }
        let container = op.container.clone();
        // A create sees to that itself.
        let about = container
            .clone()
            .filter(|_| op.kind() != OperationKind::Create);
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let end = {
                // A panic in it drops what the waiting look at; the reconciler gives it another
                // task.
                let _gone = Gone(&this, &id);
                let mut op = (*op).clone();
                if found {
                    match this.inner.store.operation(id.clone()).await {
                        Ok(Some(now)) if !now.state.is_final() => op = now,
                        Ok(_) => return,
                        Err(error) => {
                            tracing::error!(operation = %id, %error, "not taken up");
                            return;
                        }
                    }
                    if op.state == OperationState::Cancelling {
                        cancel.cancel();
                    }
                }
                let run = Run::of(this.clone(), op, sender, cancel);
                let end = run.see_through().await;
                if end == End::Unnoted {
                    // Nobody takes it up meanwhile: it would fail as it did just now.
                    tokio::select! {
                        () = sleep(REST) => {}
                        () = this.inner.closing.cancelled() => {}
                    }
                }
                end
            };
            // A pass left alone what this was at, such as a container that a dead daemon made and did
            // not mark any more.
            let record = about.and_then(|id| this.inner.store.container_by_id(&id));
            let tags = record.and_then(|record| this.inner.inventory.tags(&record.instance()));
            let unmarked = tags.is_some_and(|tags| !tags.ready);
            if end != End::Well || unmarked {
                // What it left is nobody's now.
                this.disagree();
            }
            if let Some(container) = container {
                this.catch_up(&container);
            }
            this.inner.standbys.wake();
        });
    }

    /// What a change answers, once it is done.
    pub async fn done<E: Endpoint>(&self, begun: Begun<E>) -> Result<E::Answer, Error> {
        let op = self.ended(&begun.id).await?;
        match (op.state, op.error, op.result) {
            (OperationState::Succeeded, _, Some(result)) => {
                let answer = serde_json::from_value(result);
                Ok(answer.map_err(|e| StoreError::Unreadable(e.to_string()))?)
            }
            (_, Some(fault), _) => Err(Error::Failed(fault)),
            (_, None, _) => Err(self.unended(begun.id)),
        }
    }

    /// The operation at its end, or where this daemon leaves it.
    async fn ended(&self, id: &OperationId) -> Result<Op, Error> {
        for again in [true, false] {
            if let Some(mut live) = self.inner.operations.get(id) {
                let ended = live.now.wait_for(|op| op.state.is_final()).await;
                if let Ok(op) = ended {
                    return Ok((**op).clone());
                }
            }
            let found = self.inner.store.operation(id.clone()).await?;
            let found = found.ok_or_else(|| Error::NoOperation(id.clone()))?;
            if found.state.is_final() {
                return Ok(found);
            }
            // Whoever wrote it down has just not come to give it a task yet.
            if again {
                self.resume(found);
            }
        }
        Err(self.unended(id.clone()))
    }

    /// Why an operation is not over that nobody is at.
    fn unended(&self, id: OperationId) -> Error {
        if self.inner.bench.closing.is_cancelled() {
            Error::Suspended(id)
        } else {
            Error::Unended(id)
        }
    }
}

/// An error where one of them is full.
fn within(tx: &Tx<'_>, limits: &[Limit]) -> Result<(), Error> {
    match tx.full(limits)? {
        Some((most, there)) => Err(Error::TooMany { most, there }),
        None => Ok(()),
    }
}

/// Whoever acts when nobody asked.
pub(crate) const OURSELVES: &str = "containarium";

fn op(asked: &Asked, plan: Plan) -> Op {
    let now = clock::now_ms();
    let within = u64::try_from(plan.within.as_millis()).unwrap_or(u64::MAX);
    Op {
        id: operation_id(),
        target: plan.target,
        container: plan.container,
        owner: plan.owner,
        actor: asked.who.subject.clone(),
        cause: asked.cause.clone(),
        state: OperationState::Queued,
        steps: plan
            .work
            .steps()
            .into_iter()
            .map(StepRecord::pending)
            .collect(),
        work: plan.work,
        attempt: 1,
        deadline: now.saturating_add(within),
        error: None,
        result: None,
        created_at: now,
        started_at: None,
        updated_at: now,
    }
}

struct Gone<'a>(&'a Containarium, &'a OperationId);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.inner.operations.remove(self.1);
    }
}
