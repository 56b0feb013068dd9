//! Deleting a container: it is stopped and kept for a while, or removed at once. Begun is done: from
//! its first step on there is no way back but to undelete it.

use std::time::Duration;

use containarium_contract::{DeleteContainer, Deleted, Effect, Exit, ExitReason, State};

use crate::{
    Asked, Begun, Containarium, Error, Record, clock,
    containarium::there,
    operations::{Plan, Run, away},
    step::Step,
    store::Phase,
    work::Work,
};

/// How long a delete may take, engine away and all.
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// Between two tries to remove an instance that Incus cannot remove, at first and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

impl Containarium {
    /// Deletes a container.
    pub async fn delete(
        &self,
        asked: impl Into<Asked>,
        request: DeleteContainer,
    ) -> Result<Deleted, Error> {
        self.done(self.begin_delete(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_delete(
        &self,
        asked: Asked,
        request: DeleteContainer,
    ) -> Result<Begun<DeleteContainer>, Error> {
        let who = asked.who.clone();
        let judged = async {
            let record = self.find(&who, Effect::Destroy, &request.username)?;
            // What is begun is about this record, whoever has the name by the time it is done.
            if request
                .id
                .as_ref()
                .is_some_and(|id| record.id != id.as_str())
            {
                return Err(Error::Replaced(request.username.clone()));
            }
            let record = there(record)?;
            let keep = if request.purge { 0 } else { self.retention() };
            if request.only_kept && keep == 0 {
                return Err(if request.purge {
                    Error::PurgeKept
                } else {
                    Error::Irreversible(request.username.clone())
                });
            }
            self.engine_answers()?;
            let state = self.shown(&record);
            let down = matches!(state, Some(State::Stopped | State::Error) | None);
            if !request.force && !down && !self.inner.operations.is_busy(&record.id) {
                return Err(Error::NotStopped(request.username.clone()));
            }
            let force = request.force;
            Ok(Plan::about(&record, Work::Delete { force, keep }, WITHIN))
        };
        self.begin(asked, &request, judged).await
    }
}

/// A delete, from wherever an earlier daemon left it.
pub(crate) async fn run(run: &mut Run, force: bool, keep: u64) -> Result<(), Error> {
    let core = run.core.clone();
    let engine = &core.inner.engine;
    let Some(record) = run.record() else {
        // It was removed, and the daemon ended before that was noted.
        return gone(run).await;
    };
    if record.phase == Phase::Deleted {
        // By another delete, whose turn came first.
        return Err(Error::NoContainer(record.username.clone()));
    }
    let instance = record.instance();
    // What it does, where it was looked at in this run.
    let mut looked = None;
    if record.phase == Phase::Ready {
        run.check()?;
        let state = run.insist(|| engine.state(&instance)).await??;
        looked = Some(state);
        if !force && !matches!(state, Some(State::Stopped) | None) {
            return Err(Error::NotStopped(record.username.clone()));
        }
        run.begin(Step::Stop)?;
        // What it did is remembered for whoever brings it back.
        let (id, now) = (record.id.clone(), clock::now());
        let running = matches!(state, Some(State::Running | State::Frozen));
        run.note(move |tx| {
            tx.set_phase(&id, Phase::Deleting, now)?;
            tx.set_running(&id, running)
        })
        .await?;
    } else {
        run.begin_anyway(Step::Stop);
    }
    run.no_way_back();
    let ending = core.inner.tunnels.ending(&record);
    if !run.is_done(Step::Stop) {
        run.settled(&instance).await?;
        let was = match looked.filter(|_| !run.is_resumed()) {
            Some(was) => was,
            None => run.insist(|| engine.state(&instance)).await??,
        };
        if was.is_some_and(|state| state != State::Stopped) {
            let killed = run.insist_on(&instance, || engine.kill(&instance)).await?;
            killed.map_err(|e| failed(run, &record, Step::Stop, e))?;
            core.inner.inventory.set(&instance, State::Stopped);
            looked = Some(Some(State::Stopped));
        }
        let (id, exit) = (record.id.clone(), requested(run, &record, "deleted"));
        let stopped = was.is_some_and(|state| state != State::Stopped);
        let running = run.known_record()?.running;
        run.done(Step::Stop, move |tx| {
            if stopped {
                tx.set_exit(&id, &exit, None)?;
            }
            tx.set_running(&id, running)
        })
        .await?;
    }
    if keep == 0 {
        run.begin_anyway(Step::Remove);
        remove(run, "delete", &record, looked.flatten()).await?;
        ending.done("deleted");
        run.passed(Step::Remove);
        return gone(run).await;
    }
    run.begin_anyway(Step::Keep);
    let until = clock::now() + keep;
    let kept = Record {
        kept_until: Some(until),
        ..(*run.known_record()?).clone()
    };
    match run.insist_on(&instance, || core.mark(&kept)).await? {
        Ok(()) => {}
        Err(e) if e.is_not_found() => {
            ending.done("deleted");
            return gone(run).await;
        }
        Err(e) => return Err(failed(run, &record, Step::Keep, e)),
    }
    ending.done("deleted");
    run.passed(Step::Keep);
    run.begin_anyway(Step::Commit);
    let name = record.username.container_name();
    let answer = Deleted {
        message: format!(
            "{name} is deleted. It is kept until {} and can be brought back until then: \
             `containarium undelete {}`.",
            clock::rfc3339_of(until),
            record.username
        ),
        container_name: name,
        deleted_until: Some(clock::rfc3339_of(until)),
    };
    let told = answer.message.clone();
    run.succeed(&answer, move |tx| {
        tx.keep(&record.id, until, clock::now())?;
        tx.tell_state(&record, State::Deleted, Some(told))
    })
    .await
}

/// A delete that failed: where its removal was begun it goes on; else the container is what it was, but
/// for having been stopped.
pub(crate) async fn put_back(run: &mut Run, failed: &Error) {
    let record = run.record();
    let Some(record) = record.filter(|record| record.phase == Phase::Deleting) else {
        return;
    };
    if matches!(failed, Error::Suspended(_)) || run.is_begun(Step::Remove) {
        return;
    }
    let (id, now) = (record.id.clone(), clock::now());
    let stopped = run.is_done(Step::Stop);
    let noted = run.fail_with(failed, move |tx| {
        tx.set_phase(&id, Phase::Ready, now)?;
        // Why it stopped is noted.
        if stopped {
            tx.set_running(&id, false)?;
        }
        Ok(())
    });
    if let Err(e) = noted.await {
        tracing::error!(error = %e, "a failed delete is not noted");
    }
}

/// Removes its instance for good; `state` is what it does, where that is known.
pub(crate) async fn remove(
    run: &mut Run,
    what: &'static str,
    record: &Record,
    state: Option<State>,
) -> Result<(), Error> {
    let core = run.core.clone();
    let instance = record.instance();
    run.settled(&instance).await?;
    removed(run, what, record, Step::Remove, state).await?;
    core.inner.inventory.remove(&instance);
    Ok(())
}

/// Removes an instance as often as it takes: one that was half made when Incus ended may still be
/// written to. `state` is what it does, where that is known.
pub(crate) async fn removed(
    run: &mut Run,
    what: &'static str,
    record: &Record,
    step: Step,
    mut state: Option<State>,
) -> Result<(), Error> {
    let core = run.core.clone();
    let (engine, instance) = (&core.inner.engine, record.instance());
    let mut pause = PAUSE.0;
    loop {
        let removed = match state.take() {
            Some(state) => engine.remove_in(&instance, Some(state)).await,
            None => engine.remove(&instance).await,
        };
        match removed {
            Ok(()) => return Ok(()),
            Err(error) if away(&error) => run.engine_back(&error.into()).await?,
            Err(error) if pause > PAUSE.1 => {
                return Err(core.failed_in(what, record, step, error, String::new()));
            }
            Err(error) => {
                tracing::debug!(%error, "not removed yet");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// Nothing is left of it.
async fn gone(run: &mut Run) -> Result<(), Error> {
    let record = run.record();
    let name = format!("{}-container", run.op().target);
    let answer = Deleted {
        message: format!("{name} and everything in it is deleted."),
        container_name: name,
        deleted_until: None,
    };
    run.begin_anyway(Step::Commit);
    let told = answer.message.clone();
    run.succeed(&answer, move |tx| match record {
        Some(record) => {
            tx.forget(&record.id)?;
            tx.tell_state(&record, State::Deleted, Some(told))
        }
        None => Ok(()),
    })
    .await
}

/// How a container stopped that was asked to.
pub(crate) fn requested(run: &Run, record: &Record, how: &str) -> Exit {
    let op = run.op();
    Exit {
        at: clock::rfc3339(clock::now_ms()),
        reason: ExitReason::Requested,
        detail: format!(
            "{} was {how} by {}: {}",
            record.username.container_name(),
            op.actor,
            op.cause
        ),
        actor: Some(op.actor.to_string()),
        operation: Some(op.id.clone()),
        console: None,
    }
}

fn failed(run: &Run, record: &Record, step: Step, error: containarium_incus::Error) -> Error {
    run.core.disagree();
    run.core
        .failed_in("delete", record, step, error, String::new())
}
