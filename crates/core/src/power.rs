//! Starting and stopping a container.

use std::time::Duration;

use containarium_contract::{
    ContainerChanged, Effect, Exit, ExitReason, StartContainer, State, StopContainer,
};

use crate::{
    Asked, Begun, Containarium, Error, Record, clock,
    delete::requested,
    exit::Witness,
    inventory::Login,
    operations::{Plan, Run},
    room,
    step::Step,
    watch::no_login,
    work::Work,
};

/// The first try of a stop. One sent while the container boots is lost without a word, so a
/// second one follows.
const FIRST_TRY: Duration = Duration::from_secs(5);
/// How long a start, or a stop beside its own timeout, may take, engine away and all.
const WITHIN: Duration = Duration::from_secs(5 * 60);

impl Containarium {
    /// Starts a container; answers when a login would work.
    pub async fn start(
        &self,
        asked: impl Into<Asked>,
        request: StartContainer,
    ) -> Result<ContainerChanged, Error> {
        self.done(self.begin_start(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_start(
        &self,
        asked: Asked,
        request: StartContainer,
    ) -> Result<Begun<StartContainer>, Error> {
        let who = asked.who.clone();
        let judged = async {
            let record = self.find_ready(&who, Effect::Write, &request.username)?;
            Ok(Plan::about(&record, Work::Start, WITHIN))
        };
        self.begin(asked, &request, judged).await
    }

    /// Stops a container.
    pub async fn stop(
        &self,
        asked: impl Into<Asked>,
        request: StopContainer,
    ) -> Result<ContainerChanged, Error> {
        self.done(self.begin_stop(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_stop(
        &self,
        asked: Asked,
        request: StopContainer,
    ) -> Result<Begun<StopContainer>, Error> {
        if !(1..=600).contains(&request.timeout) {
            return Err(Error::Timeout(request.timeout));
        }
        let who = asked.who.clone();
        let judged = async {
            let record = self.find_ready(&who, Effect::Write, &request.username)?;
            let within = WITHIN + Duration::from_secs(request.timeout.into());
            let work = Work::Stop {
                force: request.force,
                timeout: request.timeout,
            };
            Ok(Plan::about(&record, work, within))
        };
        self.begin(asked, &request, judged).await
    }

    /// Asks the container to shut down, twice if there is time.
    async fn shut_down(
        &self,
        run: &mut Run,
        record: &Record,
        state: Option<State>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let (engine, instance) = (&self.inner.engine, record.instance());
        if state == Some(State::Frozen) {
            // Asked while frozen it never hears, and Incus then shows it as running for good.
            let thawed = run.insist_on(&instance, || engine.thaw(&instance)).await?;
            thawed.map_err(|e| self.not_stopped(record, e))?;
        }
        // Whenever it does: by itself it does not.
        let exit = requested(run, record, "stopped");
        self.inner.inventory.asked_to_stop(&instance, exit);
        let first = timeout.min(FIRST_TRY);
        for within in [first, timeout.saturating_sub(first)] {
            if within.is_zero() {
                break;
            }
            match engine.stop(&instance, within).await {
                Ok(()) | Err(containarium_incus::Error::Stopped(_)) => return Ok(()),
                Err(e) => tracing::debug!(%instance, error = %e, "did not shut down"),
            }
            let state = run.insist(|| engine.state(&instance)).await??;
            if state == Some(State::Stopped) {
                return Ok(());
            }
            if run.is_cancelled() {
                return Err(Error::AskedToStop(record.username.clone()));
            }
            run.check()?;
        }
        Err(Error::StillRunning {
            username: record.username.clone(),
            after: timeout,
        })
    }

    fn not_stopped(&self, record: &Record, error: containarium_incus::Error) -> Error {
        self.failed_in("stop", record, Step::Stop, error, String::new())
    }

    /// The answer of a change of state.
    pub(crate) fn changed(
        &self,
        record: &Record,
        state: State,
        message: String,
    ) -> ContainerChanged {
        ContainerChanged {
            message,
            container: self.view(record, Some(state)),
        }
    }
}

/// A start, from wherever an earlier daemon left it.
pub(crate) async fn run_start(run: &mut Run) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.ready_record()?;
    let name = record.username.container_name();
    let instance = record.instance();
    let state = run.insist(|| core.inner.engine.state(&instance)).await??;
    let login = core
        .inner
        .inventory
        .state(&instance)
        .map(|(_, login)| login);
    if state == Some(State::Running) && login == Some(Login::Works) && !run.is_resumed() {
        return conclude(
            run,
            &record,
            State::Running,
            false,
            format!("{name} is running already."),
            None,
        )
        .await;
    }
    let grown = bring_up(run, "start", &record, state).await?;
    conclude(
        run,
        &record,
        State::Running,
        true,
        format!("{name} is running.{grown}"),
        None,
    )
    .await
}

/// Starts or thaws it, whatever it is doing, and waits until a login works; `state` is what it was doing
/// just now, where that is known. What had to be done for it besides, as a sentence behind a space, or
/// nothing.
pub(crate) async fn bring_up(
    run: &mut Run,
    what: &'static str,
    record: &Record,
    state: Option<State>,
) -> Result<String, Error> {
    let core = run.core.clone();
    let (engine, instance) = (&core.inner.engine, record.instance());
    run.begin(Step::Start)?;
    run.settled(&instance).await?;
    let turn = run.turn(&core.inner.starts, Step::Start).await?;
    // That it cannot be taken back now keeps nobody from starting.
    if let Err(error) = core.take_back_room(record).await {
        tracing::debug!(%error, "room is not taken back yet");
    }
    let mut grown = String::new();
    let was = match state.filter(|_| !run.is_resumed()) {
        Some(state) => Some(state),
        None => run.insist(|| engine.state(&instance)).await??,
    };
    let (mut started, way_back) = match was {
        // Its store knows whether it was an earlier daemon that started it for this.
        Some(State::Running) if run.is_resumed() && !record.running => (Ok(()), WayBack::Stop),
        Some(State::Running) => (Ok(()), WayBack::None),
        Some(State::Frozen) => {
            let thawed = run.insist_on(&instance, || engine.thaw(&instance)).await?;
            (thawed, WayBack::Freeze)
        }
        None => return Err(Error::Lost(record.username.clone())),
        Some(
            State::Creating
            | State::Stopped
            | State::Starting
            | State::Stopping
            | State::Error
            | State::Deleting
            | State::Deleted,
        ) => {
            let started = run.insist_on(&instance, || engine.start_or_running(&instance));
            (started.await?, WayBack::Stop)
        }
    };
    if started
        .as_ref()
        .is_err_and(containarium_incus::Error::is_quota)
    {
        // Incus writes into the container's own disk before it starts it.
        grown = room::made(run, record).await?;
        started = run.insist(|| engine.start_or_running(&instance)).await?;
    }
    // It is the engine that starts so many at a time; one that does not come up holds up nobody.
    drop(turn);
    if let Err(e) = started {
        let evidence = engine.evidence(&instance).await;
        return Err(core.failed_in(what, record, Step::Start, e, evidence));
    }
    core.inner.inventory.set(&instance, State::Running);
    run.done(Step::Start, |_| Ok(())).await?;
    run.begin_anyway(Step::Boot);
    if let Err(error) = core.boot(run, what, record).await {
        return Err(not_up(run, record, way_back, error).await);
    }
    core.inner.inventory.set_login(&instance, Login::Works);
    run.passed(Step::Boot);
    core.sample(record);
    Ok(grown)
}

/// What a start that is cancelled takes back: what it did itself, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayBack {
    /// It ran before.
    None,
    Freeze,
    Stop,
}

impl WayBack {
    async fn go(
        self,
        core: &Containarium,
        instance: &str,
    ) -> Result<(), containarium_incus::Error> {
        let engine = &core.inner.engine;
        let state = match self {
            Self::None => return Ok(()),
            Self::Freeze => engine.freeze(instance).await.map(|()| State::Frozen),
            Self::Stop => engine.kill(instance).await.map(|()| State::Stopped),
        };
        core.inner.inventory.set(instance, state?);
        Ok(())
    }
}

/// What is so where a container was started and is not up: one that nobody wants any more is what it
/// was before, one that died is in error.
async fn not_up(run: &mut Run, record: &Record, way_back: WayBack, error: Error) -> Error {
    let core = run.core.clone();
    let instance = record.instance();
    match &error {
        Error::Cancelled => {
            if let Err(e) = way_back.go(&core, &instance).await {
                tracing::warn!(error = %e, "a start that was cancelled is not undone");
            }
        }
        Error::Step { why, .. } => {
            let died = core.inner.engine.state(&instance).await.ok().flatten();
            if died == Some(State::Stopped) {
                core.inner.inventory.set(&instance, State::Stopped);
                let witness = Witness {
                    requestor: None,
                    seen: true,
                    ran: true,
                };
                let mut exit = core.how_it_ended(record, witness).await;
                if exit.reason == ExitReason::Guest {
                    exit.detail = format!("{}: {why}", record.username.container_name());
                }
                exit.operation = Some(run.op().id.clone());
                let (record, fault) = (record.clone(), exit.detail.clone());
                let noted = run.note(move |tx| {
                    tx.set_exit(&record.id, &exit, Some(&fault))?;
                    tx.tell_state(&record, State::Error, Some(fault))
                });
                if let Err(e) = noted.await {
                    tracing::error!(error = %e, "how a container died is not noted");
                }
            } else {
                core.inner.inventory.set_login(&instance, Login::Silent);
                let (record, detail) = (record.clone(), no_login(record));
                let noted = run.note(move |tx| {
                    tx.set_running(&record.id, true)?;
                    tx.tell_state(&record, State::Error, Some(detail))
                });
                if let Err(e) = noted.await {
                    tracing::error!(error = %e, "that no login works is not noted");
                }
            }
        }
        _ => {}
    }
    error
}

/// A stop, from wherever an earlier daemon left it.
pub(crate) async fn run_stop(run: &mut Run, force: bool, timeout: u32) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.ready_record()?;
    let name = record.username.container_name();
    let (engine, instance) = (&core.inner.engine, record.instance());
    run.settled(&instance).await?;
    let state = run.insist(|| engine.state(&instance)).await??;
    if state.is_none() {
        return Err(Error::Lost(record.username.clone()));
    }
    if state == Some(State::Stopped) && !run.is_resumed() {
        return conclude(
            run,
            &record,
            State::Stopped,
            false,
            format!("{name} is stopped already."),
            None,
        )
        .await;
    }
    run.begin(Step::Stop)?;
    let ending = core.inner.tunnels.ending(&record);
    if state != Some(State::Stopped) {
        if force {
            let killed = run.insist_on(&instance, || engine.kill(&instance)).await?;
            killed.map_err(|e| core.not_stopped(&record, e))?;
        } else {
            let timeout = Duration::from_secs(timeout.into());
            core.shut_down(run, &record, state, timeout).await?;
        }
    }
    core.inner.inventory.set(&instance, State::Stopped);
    ending.done("stopped");
    run.passed(Step::Stop);
    let exit = requested(run, &record, "stopped");
    conclude(
        run,
        &record,
        State::Stopped,
        true,
        format!("{name} is stopped."),
        Some(exit),
    )
    .await
}

async fn conclude(
    run: &mut Run,
    record: &Record,
    state: State,
    changed: bool,
    message: String,
    exit: Option<Exit>,
) -> Result<(), Error> {
    let core = run.core.clone();
    run.begin_anyway(Step::Commit);
    let now = clock::now();
    let shown = Record {
        updated_at: now,
        running: state == State::Running,
        fault: None,
        exit: exit.clone().or_else(|| record.exit.clone()),
        ..record.clone()
    };
    let answer = core.changed(&shown, state, message);
    let detail = exit.as_ref().map(|exit| exit.detail.clone());
    run.succeed(&answer, move |tx| {
        let id = &shown.id;
        match exit {
            Some(exit) => tx.set_exit(id, &exit, None)?,
            None => {
                tx.set_running(id, state == State::Running)?;
                tx.set_fault(id, None)?;
            }
        }
        if changed {
            tx.tell_state(&shown, state, detail)?;
        }
        tx.touch(id, now)
    })
    .await
}
