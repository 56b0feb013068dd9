//! The service: what every verb works on, and how its tasks begin and end.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use containarium_contract::{Effect, OperationId, State, Username};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Decision, Error, Principal, Record, Store, access,
    claims::Claims,
    engine::{Engine, Host},
    images::{Bench, Flights, Remotes, Turn},
    store::{Phase, StoreError},
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
    pub(crate) claims: Claims,
    /// Starts at a time: about one a core is fastest, more only wait for each other in Incus.
    pub(crate) starts: Semaphore,
    pub(crate) host: OnceCell<Host>,
    pub(crate) tasks: TaskTracker,
    pub(crate) tunnels: Tunnels,
    pub(crate) closing: CancellationToken,
    pub(crate) bench: Bench,
    pub(crate) flights: Flights,
    pub(crate) turn: Turn,
}

/// How long an image server may take to its first byte.
const PATIENCE: Duration = Duration::from_secs(20);

impl Containarium {
    /// Opens the installation that `init` made, and resumes what an earlier daemon left undone.
    pub async fn open(
        store: Store,
        incus: &containarium_incus::Client,
        remotes: Remotes,
    ) -> Result<Self, StoreError> {
        let installation = store.installation().await?;
        let bench = Bench::new(
            incus,
            installation.clone(),
            remotes,
            PATIENCE,
            CancellationToken::new(),
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let this = Self {
            inner: Arc::new(Inner {
                turn: Turn::new(store.dir()),
                store,
                engine: Engine::new(incus, installation),
                claims: Claims::default(),
                starts: Semaphore::new(cores),
                host: OnceCell::new(),
                tasks: TaskTracker::new(),
                tunnels: Tunnels::default(),
                closing: CancellationToken::new(),
                bench,
                flights: Flights::default(),
            }),
        };
        this.inner.engine.keep_quotas();
        this.recover().await?;
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

    /// Whether the store and the engine answer, as `(store, engine)`.
    pub async fn ready(&self) -> (bool, bool) {
        let (store, engine) = tokio::join!(self.inner.store.check(), self.inner.engine.server());
        (
            store.is_ok(),
            engine.is_ok_and(|server| server.is_trusted()),
        )
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
    pub(crate) async fn find(
        &self,
        who: &Principal,
        effect: Effect,
        username: &Username,
    ) -> Result<Record, Error> {
        let record = self.inner.store.container(username).await?;
        let record = record.ok_or_else(|| Error::NoContainer(username.clone()))?;
        match access::decide(who, effect, &record.owner) {
            Decision::Allow => Ok(record),
            Decision::Forbid => Err(Error::Forbidden),
            Decision::Hide => Err(Error::NoContainer(username.clone())),
        }
    }

    /// The same for a change: it must be there for its users.
    pub(crate) async fn find_ready(
        &self,
        who: &Principal,
        effect: Effect,
        username: &Username,
    ) -> Result<Record, Error> {
        let record = self.find(who, effect, username).await?;
        let busy = |what| {
            Err(Error::Busy {
                username: username.clone(),
                what,
            })
        };
        match record.phase {
            Phase::Ready => Ok(record),
            Phase::Creating => busy("created"),
            Phase::Deleting => busy("deleted"),
        }
    }

    /// Does `work` to a container that is there for its users, as the only one who works on it, to
    /// its end.
    pub(crate) async fn change_ready<T, Work, Fut>(
        &self,
        who: &Principal,
        effect: Effect,
        username: Username,
        work: Work,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        Work: FnOnce(Self, Record) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        // Refused at once, and not only when its turn has come.
        self.find_ready(who, effect, &username).await?;
        let (this, who) = (self.clone(), who.clone());
        self.to_the_end(async move {
            let _claim = this.inner.claims.claim(&username).await;
            // Again, because it may have changed while this waited for its turn.
            let record = this.find_ready(&who, effect, &username).await?;
            work(this.clone(), record).await
        })
        .await
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

/// What is shown of a container whose instance does `engine`.
pub(crate) fn shown(record: &Record, engine: Option<State>) -> State {
    match (record.phase, engine) {
        (Phase::Creating, _) => State::Creating,
        (Phase::Deleting, _) => State::Deleting,
        (Phase::Ready, Some(state)) => state,
        // The engine answered and does not have it.
        (Phase::Ready, None) => State::Error,
    }
}

/// Now, in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A new operation's id; younger ones sort after older ones.
pub(crate) fn operation_id() -> OperationId {
    let id = ulid::Ulid::generate().to_string();
    id.parse()
        .unwrap_or_else(|_| unreachable!("a ULID is one: {id}"))
}
