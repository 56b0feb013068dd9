//! One running daemon: it opens the store, binds, serves, and stops gracefully.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::{
    BoxError,
    body::{Bytes, HttpBody},
    extract::Request,
    http::Response,
};
use containarium_contract::Subject;
use containarium_core::{
    Containarium, Incus, Installation, Lock, Settings, Store, StoreError, host_ports, mark,
    secret::{self, NoSecret, SecretSource},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{accept::accept, beside::beside, routes::router, tunnel::Tunnels};

/// Shorter secrets can be guessed.
const GOOD_SECRET: usize = 32;
/// How long creates and deletes under way may take once the daemon is told to stop.
const CLOSE: Duration = Duration::from_secs(60);

/// What a daemon needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub address: IpAddr,
    /// Where to listen; 0 takes any free port.
    pub port: u16,
    /// Where the tokens' secret is.
    pub secret: SecretSource,
    /// Where the store is.
    pub state_dir: PathBuf,
    /// Incus.
    pub engine: Incus,
    /// Whether other machines may be listened to with TLS only.
    pub require_tls: bool,
    /// What is decided of the service itself.
    pub settings: Settings,
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no secret, or it is not good enough.
    #[error(transparent)]
    Secret(#[from] NoSecret),
    /// Anybody who reaches the port could guess a short secret.
    #[error(
        "the secret has {length} bytes; on an address that others can reach it needs at least \
         {GOOD_SECRET}: make one with `openssl rand -base64 32`"
    )]
    ShortSecret {
        /// Its length.
        length: usize,
    },
    /// Tokens would travel readable.
    #[error("other machines reach {address}, there is no TLS, and --require-tls forbids that")]
    NoTls {
        /// Where it was to listen.
        address: IpAddr,
    },
    /// The store cannot be used, another daemon uses it, or `init` was not run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where it was tried.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A daemon that listens and does not serve yet.
pub struct Daemon {
    listener: TcpListener,
    service: Containarium,
    router: axum::Router,
    tunnels: Tunnels,
    secret: SecretSlice<u8>,
    /// Ends what has no end of its own.
    ended: CancellationToken,
    /// Held as long as this serves.
    _lock: Lock,
}

impl Daemon {
    /// Opens the store, takes up what was left undone, and listens.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        if config.require_tls && !config.address.is_loopback() {
            return Err(ServeError::NoTls {
                address: config.address,
            });
        }
        // Before anything is made in a directory that may be another's, or nobody's.
        let (store, lock) = Store::alone(&config.state_dir).await?;
        let secret = secret::find(config.secret, &config.state_dir, true)?;
        let length = secret.expose_secret().len();
        if length < GOOD_SECRET && !config.address.is_loopback() {
            return Err(ServeError::ShortSecret { length });
        }
        if length < GOOD_SECRET {
            tracing::warn!(
                length,
                "the secret is shorter than {GOOD_SECRET} bytes and can be guessed; make one with `openssl rand -base64 32`"
            );
        }
        if !config.address.is_loopback() {
            tracing::warn!(address = %config.address, "listening for other machines without TLS: tokens travel readable");
        }
        let address = SocketAddr::new(config.address, config.port);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address, source })?;
        let installation = store.installation().await?;
        // Its rules are gone after a reboot, and after somebody flushed everybody's.
        if let Err(why) = host_ports::close(&installation).await {
            tracing::warn!(why, "this host's own ports stay open to containers");
        }
        tokio::spawn(renew_mark(
            config.engine.clone(),
            installation,
            config.state_dir,
        ));
        let service = Containarium::open(store, &config.engine, config.settings).await?;
        let tunnels = Tunnels::default();
        let router = router(service.clone(), secret.clone(), tunnels.clone());
        allow_files();
        Ok(Self {
            listener,
            service,
            router,
            tunnels,
            secret,
            ended: CancellationToken::new(),
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves at `path`, too, what `make` makes of the API and of what tells the end: a face that
    /// asks the API within this process, with the token of whoever asks it.
    #[must_use]
    pub fn beside<F, Fut, B>(
        self,
        path: &str,
        make: impl FnOnce(axum::Router, CancellationToken) -> F,
    ) -> Self
    where
        F: Fn(Subject, Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let face = make(self.router.clone(), self.ended.clone());
        let more = beside(path, self.secret.clone(), face);
        Self {
            router: self.router.merge(more),
            ..self
        }
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn serve(self, stop: CancellationToken) {
        // Whoever waits for a preparation has an answer to wait for, too; a tunnel has none.
        let cut_off = async {
            stop.cancelled().await;
            self.service.stop_preparing();
            self.ended.cancel();
            self.tunnels.end().await;
        };
        tokio::join!(accept(self.listener, self.router, stop.clone()), cut_off);
        self.service.close(CLOSE).await;
    }
}

/// Sees to it that Incus has what a lost store needs, beside the start: Incus may be away, and the
/// next start comes.
async fn renew_mark(incus: Incus, installation: Installation, state_dir: PathBuf) {
    match mark::renew(&incus, &installation, &state_dir).await {
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "Incus was not told what this installation is"),
    }
}

/// As many open files as the system lets us have: the usual 1024 are fewer than the connections we
/// take.
fn allow_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
