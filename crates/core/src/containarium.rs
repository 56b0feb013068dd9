//! The service: what every verb works on, and how its tasks begin and end.

use std::{sync::Arc, time::Duration};

use containarium_contract::{Effect, EngineHealth, OperationId, State, Username};
use tokio::sync::{Notify, OnceCell};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Decision, Error, Principal, Record, Store, access,
    claims::Claims,
    engine::{Engine, Host},
    images::{Bench, Flights, Remotes, Turn},
    inventory::{Inventory, Login},
    operations::Operations,
    patience::Patience,
    questions::{Answer, Questions},
    samples::Samples,
    standby::{StandbyCount, Standbys},
    starts::Starts,
    store::{Phase, StoreError},
    timings::Recorder,
    tunnel::Tunnels,
};

/// One running installation. Clones share it.
#[derive(Clone)]
pub struct Containarium {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) operations: Operations,
    /// Wakes the reconciler.
    pub(crate) disagreement: Notify,
    pub(crate) standbys: Standbys,
    pub(crate) questions: Questions,
    pub(crate) samples: Samples,
    pub(crate) timings: Recorder,
    pub(crate) claims: Claims,
    /// How long deleted containers are kept.
    pub(crate) retention: Duration,
    pub(crate) patience: Patience,
    /// Starts at a time: about one a core is fastest, more only wait for each other in Incus.
    pub(crate) starts: Starts,
    pub(crate) host: OnceCell<Host>,
    pub(crate) tasks: TaskTracker,
    pub(crate) tunnels: Tunnels,
    pub(crate) closing: CancellationToken,
    pub(crate) bench: Bench,
    pub(crate) flights: Flights,
    pub(crate) turn: Turn,
}

/// What whoever runs it decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The image servers that images may come from.
    pub remotes: Remotes,
    /// How long deleted containers are kept.
    pub retention: Duration,
    /// The standbys that are kept.
    pub standbys: Vec<StandbyCount>,
    /// How long things may take.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            remotes: Remotes::default(),
            retention: RETENTION,
            standbys: Vec::new(),
            patience: Patience::default(),
        }
    }
}

/// How long deleted containers are kept unless somebody says otherwise.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long a start of the daemon waits for the engine's first answer, before it serves without.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// After so long without a sign of life the engine is looked at, when somebody asks.
pub(crate) const LOOK_AFTER: Duration = Duration::from_secs(2);
/// How long an image server may take to its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(20);

impl Containarium {
    /// Opens the installation that `init` made, and resumes what an earlier daemon left undone.
    pub async fn open(
        store: Store,
        incus: &containarium_incus::Client,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let Settings {
            remotes,
            retention,
            standbys,
            patience,
        } = settings;
        let installation = store.installation().await?;
        let bench = Bench::new(
            incus,
            installation.clone(),
            remotes,
            FIRST_BYTE,
            CancellationToken::new(),
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let this = Self {
            inner: Arc::new(Inner {
                turn: Turn::new(store.dir()),
                store,
                engine: Engine::new(incus, installation),
                inventory: Arc::default(),
                operations: Operations::default(),
                disagreement: Notify::new(),
                standbys: Standbys::new(standbys),
                questions: Questions::default(),
                samples: Samples::default(),
                timings: Recorder::default(),
                claims: Claims::default(),
                retention,
                patience,
                starts: Starts::new(cores),
                host: OnceCell::new(),
                tasks: TaskTracker::new(),
                tunnels: Tunnels::default(),
                closing: CancellationToken::new(),
                bench,
                flights: Flights::default(),
            }),
        };
        this.inner.engine.keep_quotas();
        this.inner.tasks.spawn(this.clone().watch());
        this.inner.tasks.spawn(this.clone().reconcile());
        this.inner.tasks.spawn(this.clone().keep_standbys());
        // What is told from the first answer on is so, where the engine is there.
        let seen = this.inner.inventory.listed();
        let _in_time = tokio::time::timeout(FIRST_LOOK, seen).await;
        for op in this.inner.store.unfinished().await? {
            this.resume(op);
        }
        this.sweep_images();
        Ok(this)
    }

    /// Whether the engine is a simulation, so that nothing real is created.
    pub fn is_simulated(&self) -> bool {
        self.inner.engine.installation.simulated
    }

    /// Cuts preparations of images off, and takes back what they began: they take minutes, and can
    /// be begun anew. Creates that wait for one fail.
    pub fn stop_preparing(&self) {
        self.inner.bench.closing.cancel();
    }

    /// When the daemon is told to stop: whoever only listens or waits is let go, so that nobody waits
    /// for those.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + '_ {
        self.inner.bench.closing.cancelled()
    }

    /// Waits until nothing is half done, `within` at the most; what then still waits for the
    /// engine is taken up at the next start.
    pub async fn close(&self, within: Duration) {
        self.stop_preparing();
        self.inner.closing.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(within, self.inner.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.inner.tasks.len(),
                "stopped with work under way"
            );
        }
    }

    /// How long deleted containers are kept, seconds.
    pub(crate) fn retention(&self) -> u64 {
        self.inner.retention.as_secs()
    }

    /// Returns whether the store and the engine answer, as `(store, engine)`. An engine that is late
    /// answers as long as it is not known to be silent.
    pub async fn ready(&self) -> (bool, bool) {
        let trusts = async |core: Self| Ok(core.inner.engine.server().await?.is_trusted());
        let engine = self.answer(&self.inner.questions.trust, trusts);
        let (store, engine) = tokio::join!(self.inner.store.check(), engine);
        let engine = match engine {
            Ok(Answer::Now(trusted)) => trusted,
            Ok(Answer::Earlier(trusted)) => {
                trusted == Some(true) && self.health() == EngineHealth::Ok
            }
            Err(_) => false,
        };
        (store.is_ok(), engine)
    }

    /// Runs `work` to its end even if the caller who waits for it goes away.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.inner.tasks.spawn(work).await {
            Ok(result) => result,
            Err(e) => Err(StoreError::Unreadable(format!("a task ended early: {e}")).into()),
        }
    }

    /// The container of that name, where `who` may do `effect` to it.
    pub(crate) fn find(
        &self,
        who: &Principal,
        effect: Effect,
        username: &Username,
    ) -> Result<Arc<Record>, Error> {
        let record = self.inner.store.container(username);
        let record = record.ok_or_else(|| Error::NoContainer(username.clone()))?;
        match access::decide(who, effect, &record.owner, username) {
            Decision::Allow => Ok(record),
            Decision::Forbid => Err(access::refusal(who, effect)),
            Decision::Hide => Err(Error::NoContainer(username.clone())),
        }
    }

    /// The same for a change: it must be there for its users, and the engine must answer.
    pub(crate) fn find_ready(
        &self,
        who: &Principal,
        effect: Effect,
        username: &Username,
    ) -> Result<Arc<Record>, Error> {
        let record = self.find_there(who, effect, username)?;
        self.engine_answers().map(|()| record)
    }

    /// The same, engine or not.
    pub(crate) fn find_there(
        &self,
        who: &Principal,
        effect: Effect,
        username: &Username,
    ) -> Result<Arc<Record>, Error> {
        there(self.find(who, effect, username)?)
    }

    /// An error where the engine is known not to answer: nothing is begun that it would have to do.
    pub(crate) fn engine_answers(&self) -> Result<(), Error> {
        match self.health() {
            EngineHealth::Ok => Ok(()),
            EngineHealth::Unreachable => Err(Error::EngineSilent),
        }
    }

    /// Whether the engine answers. Whoever asks after a silence makes us look, in the background.
    pub(crate) fn health(&self) -> EngineHealth {
        let inventory = &self.inner.inventory;
        if inventory.quiet_for().is_none_or(|quiet| quiet > LOOK_AFTER) {
            self.look_at_engine();
        }
        inventory.health()
    }

    /// What a container is doing, as far as is known; absent where the engine is not heard of.
    pub(crate) fn shown(&self, record: &Record) -> Option<State> {
        let seen = self.inner.inventory.state(&record.instance());
        Some(match (record.phase, seen) {
            (Phase::Creating, _) => State::Creating,
            (Phase::Deleting, _) => State::Deleting,
            (Phase::Deleted, _) => State::Deleted,
            (Phase::Ready, Some((State::Running, login))) => match login {
                Login::Works => State::Running,
                Login::Unknown => State::Starting,
                Login::Silent => State::Error,
            },
            (Phase::Ready, Some((State::Stopped, _))) if record.fault.is_some() => State::Error,
            (Phase::Ready, Some((state, _))) => state,
            (Phase::Ready, None) if self.inner.inventory.is_listed() => State::Error,
            // Nothing was heard of the engine since this daemon began.
            (Phase::Ready, None) => return None,
        })
    }

    /// What the host has, asked once.
    pub(crate) async fn host(&self) -> Result<Host, Error> {
        Ok(*self
            .inner
            .host
            .get_or_try_init(|| self.inner.engine.host())
            .await?)
    }
}

/// A new operation's id; younger ones sort after older ones.
pub(crate) fn operation_id() -> OperationId {
    let id = ulid::Ulid::generate().to_string();
    id.parse()
        .unwrap_or_else(|_| unreachable!("a ULID is one: {id}"))
}

/// The record, where its container is there for its users.
pub(crate) fn there(record: Arc<Record>) -> Result<Arc<Record>, Error> {
    let busy = |what| {
        Err(Error::Busy {
            username: record.username.clone(),
            what,
        })
    };
    match record.phase {
        Phase::Ready => Ok(record),
        Phase::Creating => busy("created"),
        Phase::Deleting => busy("deleted"),
        Phase::Deleted => Err(Error::NoContainer(record.username.clone())),
    }
}
