//! Creating a container: hold its name, one engine call, its banner, and it is there. A create
//! that fails in between leaves nothing behind.

use std::time::{Duration, Instant};

use containarium_contract::{
    ByteSize, CreateContainer, Created, Face, Hint, OperationId, OperationState, State, Subject,
};
use containarium_incus::Error as Incus;
use tokio::time::Instant as Deadline;
use ulid::Ulid;

use crate::{
    Containarium, Error, Principal, Record, Role,
    containarium::{now, operation_id},
    engine::Host,
    login,
    ssh_keys::distinct,
    store::{Change, Phase, Reservation, Reserved, Spec, Step},
};

/// How long a container may take from its start to its SSH banner.
pub(crate) const BOOT: Duration = Duration::from_secs(60);
/// How long a booting container is left alone before it is asked whether it still runs.
const LOOK: Duration = Duration::from_secs(3);
/// A container that boots needs about 60 MiB; below this it would be killed while booting.
const LEAST_MEMORY: u64 = 128_000_000;
/// The images take up to 1 GB of a container's quota, which counts them in.
const LEAST_DISK: u64 = 2_000_000_000;

impl Containarium {
    /// Creates and starts a container; answers when a login would work.
    pub async fn create(
        &self,
        who: &Principal,
        request: CreateContainer,
    ) -> Result<Created, Error> {
        let owner = owner(who, &request)?;
        let (spec, notes) = self.spec(&request).await?;
        let this = self.clone();
        let actor = who.subject.clone();
        self.to_the_end(async move {
            let _claim = this.inner.claims.claim(&request.username).await;
            let operation = operation_id();
            let reservation = Reservation {
                id: Ulid::generate().to_string().to_lowercase(),
                operation: operation.clone(),
                username: request.username.clone(),
                owner,
                actor,
                spec,
                now: now(),
            };
            let installation = this.inner.engine.installation.clone();
            match this.inner.store.reserve(installation, reservation).await? {
                Reserved::Held(record) => this.build(*record, operation, notes).await,
                Reserved::NameTaken => Err(Error::NameTaken(request.username)),
                Reserved::Exhausted => Err(Error::Exhausted),
            }
        })
        .await
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

    async fn build(
        &self,
        record: Record,
        operation: OperationId,
        notes: Vec<String>,
    ) -> Result<Created, Error> {
        let begun = Instant::now();
        let step = |step, state, error| Change {
            id: operation.clone(),
            state,
            step,
            error,
        };
        let mut prepared = false;
        let (at, made) = loop {
            let turn = self.inner.starts.acquire().await;
            let refused = match self.inner.engine.make(&record).await {
                Ok(()) => {
                    let noted = self
                        .inner
                        .store
                        .change(step(Step::Boot, OperationState::Running, None), now());
                    let (noted, boot) = tokio::join!(noted, self.boot("create", &record));
                    break (Step::Boot, noted.map_err(Error::from).and(boot));
                }
                Err(refused) => refused,
            };
            // Minutes, in which others may start theirs.
            drop(turn);
            // Found out by trying, because mostly it is there.
            if matches!(refused, Incus::ImageNotProvided(_)) && !prepared {
                prepared = true;
                let Spec { image, docker, .. } = &record.spec;
                match self.prepared_for(&record.username, image, *docker).await {
                    Ok(()) => continue,
                    Err(error) => break (Step::Engine, Err(error)),
                }
            }
            break (Step::Engine, Err(self.not_made(&record, refused).await));
        };
        if let Err(error) = made {
            let failed = step(at, OperationState::Failed, Some(error.to_string()));
            self.undo(record, failed).await;
            return Err(error);
        }
        let now = now();
        let succeeded = step(Step::Commit, OperationState::Succeeded, None);
        self.inner
            .store
            .set_phase(&record.id, Phase::Ready, now, succeeded)
            .await?;
        let record = Record {
            phase: Phase::Ready,
            updated_at: now,
            ..record
        };
        let name = record.username.container_name();
        let mut message = format!(
            "{name} is ready after {:.1} s.",
            begun.elapsed().as_secs_f64()
        );
        for note in notes {
            message = format!("{message} {note}");
        }
        if record.spec.ssh_keys.is_empty() {
            let how = Hint::AddKey(record.username.clone()).render(Face::Cli);
            message = format!("{message} Nobody can log in yet: no SSH key was given; {how}.");
        }
        let installation = &self.inner.engine.installation;
        Ok(Created {
            ssh_command: installation.ssh_command(&record.username, record.address),
            ssh_command_remote: format!("containarium ssh {}", record.username),
            container: self.view(&record, Some(State::Running)),
            message,
        })
    }

    /// Waits for the banner of a container that was started; it may also die.
    pub(crate) async fn boot(&self, what: &'static str, record: &Record) -> Result<(), Error> {
        let sshd = self.inner.engine.installation.at(record.address, 22);
        let end = Deadline::now() + BOOT;
        let mut look = Deadline::now() + LOOK;
        loop {
            if login::banner(sshd, look.min(end)).await {
                return Ok(());
            }
            let state = self.inner.engine.state(&record.instance()).await?;
            let why = match state {
                Some(State::Running) if Deadline::now() < end => {
                    look = Deadline::now() + LOOK;
                    continue;
                }
                Some(State::Running) => {
                    format!("no SSH banner within {} s of its start", BOOT.as_secs())
                }
                Some(_) | None => "it started and then stopped by itself".to_owned(),
            };
            return Err(Error::Step {
                what,
                username: record.username.clone(),
                step: Step::Boot,
                why,
                evidence: self.inner.engine.evidence(&record.instance()).await,
            });
        }
    }

    /// Why the engine did not make the instance, in our words.
    async fn not_made(&self, record: &Record, error: Incus) -> Error {
        let evidence = self.inner.engine.evidence(&record.instance()).await;
        self.failed_in("create", record, Step::Engine, error, evidence)
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

/// Whose the container shall be.
fn owner(who: &Principal, request: &CreateContainer) -> Result<Subject, Error> {
    let admin = who.is(Role::Admin);
    match &request.owner {
        Some(owner) if admin || *owner == who.subject => Ok(owner.clone()),
        Some(_) => Err(Error::ForeignOwner),
        None if admin => Ok(Subject::from(&request.username)),
        None => Ok(who.subject.clone()),
    }
}
