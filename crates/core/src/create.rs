//! Creating a container: hold its name, one engine call, its banner, and it is there. A create
//! that fails in between leaves nothing behind; one that is cut off is gone on with.

use std::{sync::Arc, time::Duration};

use containarium_contract::{
    ByteSize, CreateContainer, Created, Face, Hint, OperationId, ServedFrom, State, Subject,
};
use containarium_incus::Error as Incus;
use tokio::time::{Instant, timeout};
use ulid::Ulid;

use crate::{
    Asked, Begun, Containarium, Error, Principal, Record, Role,
    asked::Twin,
    chain, clock,
    delete::removed,
    engine::Host,
    inventory::Login,
    login,
    operations::{Plan, Run, away, sees_all},
    principal::Limit,
    ssh_keys::distinct,
    step::{Moment, Step, passing},
    store::{Op, Phase, Reservation, Reserved, Spec, Tx},
    work::Work,
};

/// How long a booting container is left alone before it is asked whether it still runs.
const LOOK: Duration = Duration::from_secs(3);
/// A container that boots needs about 60 MiB; below this it would be killed while booting.
const LEAST_MEMORY: u64 = 128_000_000;
/// The images take up to 1 GB of a container's quota, which counts them in.
pub(crate) const LEAST_DISK: u64 = 2_000_000_000;
/// How long a create may take, engine away and all, if its image is there.
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long a create waits for the first listing of what the engine has.
const LISTED: Duration = Duration::from_secs(5);
/// How long preparing its image may take.
const PREPARING: Duration = Duration::from_secs(45 * 60);
/// What a new container needs besides is left for later where others are being made, but no longer than
/// this.
const SETTLE: Duration = Duration::from_secs(10);
/// How often an instance is made, where Incus ended in the middle of it.
const TRIES: u32 = 3;

impl Containarium {
    /// Creates and starts a container; answers when a login would work.
    pub async fn create(
        &self,
        asked: impl Into<Asked>,
        request: CreateContainer,
    ) -> Result<Created, Error> {
        self.done(self.begin_create(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_create(
        &self,
        asked: Asked,
        request: CreateContainer,
    ) -> Result<Begun<CreateContainer>, Error> {
        let owner = owner(&asked.who, &request)?;
        // Whether its answer is waited for makes it no other request.
        let ask = CreateContainer {
            asynchronous: false,
            ..request.clone()
        };
        let twin = asked.twin(&ask, &owner)?;
        let digest = twin.digest.clone();
        let limits = asked.who.limits();
        let id = Ulid::generate().to_string().to_lowercase();
        let judged = async {
            self.engine_answers()?;
            // Until then, what standbys have seems to be free.
            let listed = timeout(LISTED, self.inner.inventory.listed()).await;
            listed.map_err(|_late| Error::EngineSilent)?;
            let (spec, notes) = self.spec(&request).await?;
            Ok(Plan {
                target: request.username.to_string(),
                container: Some(id.clone()),
                owner: Some(owner.clone()),
                work: Work::Create {
                    notes,
                    standby: false,
                    asked: Some(digest),
                },
                within: WITHIN,
                reserve: Some(Reservation {
                    id,
                    username: request.username.clone(),
                    owner,
                    spec,
                    now: clock::now(),
                }),
                limits,
            })
        };
        self.begin_or_join(asked, &ask, Some(twin), judged).await
    }

    /// What is asked for, capped at what the host has, and a sentence for each thing capped.
    async fn spec(&self, request: &CreateContainer) -> Result<(Spec, Vec<String>), Error> {
        let too_small = |field, given: &ByteSize, least| Error::TooSmall {
            field,
            given: given.clone(),
            least: ByteSize::from_bytes(least),
            username: request.username.clone(),
        };
        let mut resources = request.resources.clone();
        if resources.memory.bytes() < LEAST_MEMORY {
            return Err(too_small(
                "resources.memory",
                &resources.memory,
                LEAST_MEMORY,
            ));
        }
        if resources.disk.bytes() < LEAST_DISK {
            return Err(too_small("resources.disk", &resources.disk, LEAST_DISK));
        }
        let Host { cpus, memory, disk } = self.host().await?;
        let mut notes = Vec::new();
        if resources.cpu.get() > cpus {
            notes.push(format!(
                "{} CPU cores were asked for, this server has {cpus}: capped.",
                resources.cpu
            ));
            resources.cpu = resources.cpu.capped_at(cpus);
        }
        for (what, size, most) in [
            ("memory", &mut resources.memory, memory),
            ("disk", &mut resources.disk, disk),
        ] {
            if size.bytes() > most {
                let least = ByteSize::from_bytes(most);
                notes.push(format!(
                    "{size} of {what} were asked for, this server has {least}: capped."
                ));
                *size = least;
            }
        }
        let image = match &request.image {
            Some(image) => image.clone(),
            None => self.default_image().await?,
        };
        self.allowed(Some(&request.username), &image)?;
        let spec = Spec {
            resources,
            ssh_keys: distinct(request)?,
            image,
            docker: request.enable_docker,
            labels: request.labels.clone(),
        };
        Ok((spec, notes))
    }

    /// The answer of a create.
    fn created(&self, record: &Record, run: &Run, notes: Vec<String>) -> Created {
        let name = record.username.container_name();
        let (took, served_from) = (run.took(), run.op().work.served_from());
        let mut message = match served_from {
            ServedFrom::Cold => {
                let why = self.why_cold(record, run);
                format!("{name} is ready after {:.1} s.{why}", took.as_secs_f64())
            }
            ServedFrom::Standby => {
                format!(
                    "{name} is ready after {:.2} s, from standby.",
                    took.as_secs_f64()
                )
            }
        };
        for note in notes {
            message = format!("{message} {note}");
        }
        if record.spec.ssh_keys.is_empty() {
            let how = Hint::AddKey(record.username.clone()).render(Face::Cli);
            message = format!("{message} Nobody can log in yet: no SSH key was given; {how}.");
        }
        let installation = &self.inner.engine.installation;
        Created {
            ssh_command: installation.ssh_command(&record.username, record.address),
            ssh_command_remote: format!("containarium ssh {}", record.username),
            container: self.view(record, Some(State::Running)),
            message,
            served_from,
        }
    }

    /// Why it was made although standbys like it are kept; empty where none are.
    fn why_cold(&self, record: &Record, run: &Run) -> &'static str {
        let Spec { image, docker, .. } = &record.spec;
        if run.is_begun(Step::Claim) {
            " Its standby could not be used."
        } else if self.inner.standbys.keeps(image, *docker) {
            " No standby was ready."
        } else {
            ""
        }
    }

    /// What is done for a new container after its create was answered.
    fn settle_in(&self, id: String) {
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let _late_where_many_are_made = timeout(SETTLE, this.inner.operations.idle()).await;
            let Some(record) = this.inner.store.container_by_id(&id) else {
                return;
            };
            this.sample(&record);
            let _claim = this.inner.claims.claim(record.username.as_str()).await;
            let record = this.inner.store.container_by_id(&id);
            let Some(record) = record.filter(|record| record.phase == Phase::Ready) else {
                return;
            };
            if let Err(error) = this.mark(&record).await {
                tracing::debug!(%error, "not marked as ready yet");
                this.disagree();
            }
        });
    }

    /// Waits for the banner of a container that was started; it may also die.
    pub(crate) async fn boot(
        &self,
        run: &mut Run,
        what: &'static str,
        record: &Record,
    ) -> Result<(), Error> {
        let sshd = self.inner.engine.installation.at(record.address, 22);
        let patience = self.inner.patience.boot;
        let end = Instant::now() + patience;
        let mut look = Instant::now() + LOOK;
        let instance = record.instance();
        loop {
            let cancelled = run.cancelled();
            let spoke = tokio::select! {
                spoke = login::banner(sshd, look.min(end)) => spoke,
                () = cancelled => return Err(Error::Cancelled),
            };
            if spoke {
                return Ok(());
            }
            let state = run.insist(|| self.inner.engine.state(&instance)).await??;
            let why = match state {
                Some(State::Running) if Instant::now() < end => {
                    look = Instant::now() + LOOK;
                    continue;
                }
                Some(State::Running) => {
                    format!("no SSH banner within {} s of its start", patience.as_secs())
                }
                Some(_) | None => "it started and then stopped by itself".to_owned(),
            };
            return Err(Error::Step {
                what,
                username: record.username.clone(),
                step: Step::Boot,
                why,
                evidence: self.inner.engine.evidence(&instance).await,
            });
        }
    }

    /// An engine's failure in a step, unless it has a word of its own.
    pub(crate) fn failed_in(
        &self,
        what: &'static str,
        record: &Record,
        step: Step,
        error: Incus,
        evidence: String,
    ) -> Error {
        match Error::from(error) {
            Error::Engine(cause) => Error::Step {
                what,
                username: record.username.clone(),
                step,
                why: cause.to_string(),
                evidence,
            },
            other => other,
        }
    }
}

/// What a create finds where it wants its name.
pub(crate) enum Held {
    /// It is held, with all that it needs, for this one.
    New,
    /// The same create is under way.
    ByTwin(OperationId),
}

/// Holds what a create needs, in the transaction that writes it down.
pub(crate) fn reserved(
    tx: &mut Tx<'_>,
    op: &mut Op,
    core: &Containarium,
    who: &Principal,
    twin: Option<&Twin>,
    wanted: Reservation,
    limits: &[Limit],
) -> Result<Held, Error> {
    passing(op.kind(), Step::Reserve, Moment::Before);
    op.begins(Step::Reserve, clock::now_ms());
    let username = wanted.username.clone();
    let cold = wanted.id.clone();
    let standbys = core.waiting(&wanted.spec.image, wanted.spec.docker);
    let installation = &core.inner.engine.installation;
    match tx.reserve(installation, wanted, core.in_use(), standbys, limits)? {
        Reserved::Held(record) => {
            if let Work::Create { notes, asked, .. } = &op.work
                && record.id != cold
            {
                let (notes, asked) = (notes.clone(), asked.clone());
                op.container = Some(record.id.clone());
                op.plan(Work::Create {
                    notes,
                    standby: true,
                    asked,
                });
            }
            passing(op.kind(), Step::Reserve, Moment::Done);
            op.passed(Step::Reserve, clock::now_ms());
            Ok(Held::New)
        }
        Reserved::NameTaken => {
            let under_way = tx.creates_of(&username)?;
            if let Some(same) = under_way.iter().find(|op| twin.is_some_and(|t| t.is(op))) {
                return Ok(Held::ByTwin(same.id.clone()));
            }
            let seen = |op: &&Op| sees_all(who) || op.owner.as_ref() == Some(&who.subject);
            Err(match under_way.iter().find(seen) {
                Some(other) => Error::BeingMade {
                    username,
                    operation: other.id.clone(),
                },
                None => Error::NameTaken(username),
            })
        }
        Reserved::TooMany { most, there } => Err(Error::TooMany { most, there }),
        Reserved::Exhausted => Err(exhausted(core)),
    }
}

/// Lets what nobody needs give way where no address, or no range of user ids, is left. Returns the
/// error of the create that found none.
fn exhausted(core: &Containarium) -> Error {
    core.inner.standbys.give_way();
    // Of the deleted containers that are only kept, the oldest goes.
    core.disagree();
    Error::Exhausted
}

/// A create, from wherever an earlier daemon left it.
pub(crate) async fn run(run: &mut Run, notes: Vec<String>) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.known_record()?;
    if record.phase == Phase::Deleting {
        // It failed, and the daemon ended before all of it was undone.
        let error = run.failure().unwrap_or(Error::Overdue);
        return Err(undo(run, &record, error).await);
    }
    if was_ready(run, &record).await? {
        return found_ready(run, &record, notes).await;
    }
    match build(run, &record, notes).await {
        Ok(()) => {
            // Off the path: from here on it is known as finished even to a store that was lost.
            core.settle_in(record.id.clone());
            Ok(())
        }
        Err(suspended @ Error::Suspended(_)) => Err(suspended),
        Err(error) => Err(undo(run, &record, error).await),
    }
}

/// Whether the instance says that it was there for its users already: then this operation comes from
/// an old copy of the store, and there is nothing to undo, however late it is.
async fn was_ready(run: &Run, record: &Record) -> Result<bool, Error> {
    let core = &run.core.inner;
    tokio::select! {
        biased;
        () = core.inventory.listed() => {}
        () = run.over() => run.check()?,
        () = core.closing.cancelled() => return Err(Error::Suspended(run.op().id.clone())),
    }
    let tags = core.inventory.tags(&record.instance());
    Ok(tags.is_some_and(|tags| {
        tags.ready && tags.install == core.engine.installation.id && tags.id == record.id
    }))
}

async fn found_ready(run: &mut Run, record: &Record, notes: Vec<String>) -> Result<(), Error> {
    let core = run.core.clone();
    let seen = core.inner.inventory.state(&record.instance());
    let running = seen.is_some_and(|(state, _)| state == State::Running);
    let now = clock::now();
    let record = Record {
        phase: Phase::Ready,
        running,
        updated_at: now,
        ..record.clone()
    };
    let between = |step: &Step| !matches!(step, Step::Reserve | Step::Commit);
    for step in run.op().work.steps().into_iter().filter(between) {
        run.passed(step);
    }
    run.begin_anyway(Step::Commit);
    let mut created = core.created(&record, run, notes);
    created.container.state = core.shown(&record);
    let id = record.id.clone();
    run.succeed(&created, move |tx| {
        tx.set_phase(&id, Phase::Ready, now)?;
        tx.set_running(&id, running)
    })
    .await?;
    core.follow_up(&record);
    Ok(())
}

async fn build(run: &mut Run, record: &Record, notes: Vec<String>) -> Result<(), Error> {
    let core = run.core.clone();
    if !claimed(run, record).await? {
        up(run, record).await?;
    }
    run.check()?;
    let now = clock::now();
    let record = Record {
        phase: Phase::Ready,
        running: true,
        updated_at: now,
        // It may have got another address.
        ..(*run.known_record()?).clone()
    };
    core.inner.inventory.set(&record.instance(), State::Running);
    core.inner
        .inventory
        .set_login(&record.instance(), Login::Works);
    run.passed(match run.op().work.served_from() {
        ServedFrom::Standby => Step::Claim,
        ServedFrom::Cold => Step::Boot,
    });
    run.begin_anyway(Step::Commit);
    let created = core.created(&record, run, notes);
    run.succeed(&created, move |tx| {
        tx.set_phase(&record.id, Phase::Ready, now)?;
        tx.set_running(&record.id, true)?;
        tx.tell_state(&record, State::Running, None)
    })
    .await
}

/// Whether it is a standby that is its user's now. One that cannot be is removed: nobody gets it, and
/// the container is made as if there had been none.
async fn claimed(run: &mut Run, record: &Record) -> Result<bool, Error> {
    let Work::Create {
        standby: true,
        notes,
        asked,
    } = run.op().work.clone()
    else {
        return Ok(false);
    };
    run.begin(Step::Claim)?;
    let core = run.core.clone();
    match core.claim(run, record).await {
        Ok(()) => return Ok(true),
        Err(suspended @ Error::Suspended(_)) => return Err(suspended),
        Err(error) => tracing::warn!(error = %chain(&error), "a standby cannot be used"),
    }
    removed(run, "create", record, Step::Claim, None).await?;
    run.plan(Work::Create {
        notes,
        standby: false,
        asked,
    })
    .await?;
    Ok(false)
}

/// Makes it and waits until it is up.
async fn up(run: &mut Run, record: &Record) -> Result<(), Error> {
    let core = run.core.clone();
    if !run.is_done(Step::Make) {
        run.begin(Step::Make)?;
        make(run, record).await?;
        // Noted while it boots.
        run.begin_anyway(Step::Boot);
        run.done(Step::Make, |_| Ok(())).await?;
    } else {
        run.begin(Step::Boot)?;
    }
    let record = run.known_record()?;
    core.boot(run, "create", &record).await
}

/// Sees to it that the instance is there and was started; nothing more is known of it then.
async fn make(run: &mut Run, record: &Record) -> Result<(), Error> {
    let core = run.core.clone();
    let (engine, instance) = (&core.inner.engine, record.instance());
    let mut record = Arc::new(record.clone());
    // Whether something may be there already.
    let mut unsure = run.is_resumed();
    let mut prepared = false;
    let mut tries = 0;
    loop {
        if unsure {
            run.insist(|| engine.settle(&instance)).await??;
            match run.insist(|| engine.state(&instance)).await?? {
                // It was unpacked before it was started.
                Some(State::Running) => return Ok(()),
                None => {}
                // Nothing tells a whole one from one that Incus had half unpacked when it ended.
                Some(_) => removed(run, "create", &record, Step::Make, None).await?,
            }
        }
        run.check()?;
        let turn = run.turn(&core.inner.starts, Step::Make).await?;
        tries += 1;
        let refused = match engine.make(&record).await {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        // Minutes, in which others may start theirs.
        drop(turn);
        // Found out by trying, because mostly it is there.
        if matches!(refused, Incus::ImageNotProvided(_)) && !prepared {
            prepared = true;
            run.extend(PREPARING);
            let Spec { image, docker, .. } = &record.spec;
            core.prepared_for(run, &record.username, image, *docker)
                .await?;
            continue;
        }
        if away(&refused) && tries < TRIES {
            unsure = true;
            run.engine_back(&refused.into()).await?;
            continue;
        }
        // Somebody put an interface with its address on our bridge, past us.
        if matches!(refused, Incus::Conflict(_)) && tries < TRIES {
            removed(run, "create", &record, Step::Make, None).await?;
            record = readdressed(run, &record).await?;
            continue;
        }
        let evidence = engine.evidence(&instance).await;
        return Err(core.failed_in("create", &record, Step::Make, refused, evidence));
    }
}

/// It with the next address, in place of one that cannot be had.
async fn readdressed(run: &mut Run, record: &Record) -> Result<Arc<Record>, Error> {
    let core = run.core.clone();
    let id = record.id.clone();
    let here = core.clone();
    let moved = core.inner.store.write(move |tx| {
        let installation = &here.inner.engine.installation;
        tx.readdress(&id, installation, here.in_use())
    });
    if !moved.await? {
        return Err(exhausted(&core));
    }
    let moved = run.known_record()?;
    tracing::warn!(username = %moved.username, from = %record.address, to = %moved.address, "its address is somebody else's");
    Ok(moved)
}

/// Takes back a create that failed: nothing of it stays. Answers with why it failed.
async fn undo(run: &mut Run, record: &Record, error: Error) -> Error {
    let core = run.core.clone();
    let id = record.id.clone();
    let now = clock::now();
    let noted = run.fail_with(&error, move |tx| tx.set_phase(&id, Phase::Deleting, now));
    if let Err(e) = noted.await {
        tracing::error!(error = %e, "a failed create is not noted; the reconciler removes it");
        core.disagree();
        return error;
    }
    let engine = &core.inner.engine;
    let instance = record.instance();
    let removed = match run.settled(&instance).await {
        Ok(()) => engine.remove(&instance).await.map_err(Error::from),
        Err(not_now) => Err(not_now),
    };
    match removed {
        Ok(()) => {
            let id = record.id.clone();
            let forgotten = core.inner.store.write(move |tx| tx.forget(&id));
            if let Err(e) = forgotten.await {
                tracing::error!(error = %e, "a failed create is not forgotten yet");
                core.disagree();
            }
        }
        Err(e) => {
            tracing::warn!(username = %record.username, error = %e, "not removed yet");
            core.disagree();
        }
    }
    error
}

/// Whose the container shall be, where it may have that name.
fn owner(who: &Principal, request: &CreateContainer) -> Result<Subject, Error> {
    let mut restrictions = who.restrictions.iter();
    if let Some(only) = restrictions.find(|one| !one.covers(&request.username)) {
        return Err(Error::NotNamed { only: only.clone() });
    }
    let admin = who.is(Role::Admin);
    match &request.owner {
        Some(owner) if admin || *owner == who.subject => Ok(owner.clone()),
        Some(_) => Err(Error::ForeignOwner),
        None if admin => Ok(Subject::from(&request.username)),
        None => Ok(who.subject.clone()),
    }
}
