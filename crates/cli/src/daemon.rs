//! `containarium daemon`: its options and its signals. What it does is the daemon's crate's.

use std::{io::IsTerminal as _, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, builder::FalseyValueParser};
use containarium_core::{Incus, Patience, Settings, StandbyCount, StoreError};
use containarium_daemon::{Config, Daemon as Server, ServeError};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    engine_socket::{DaemonEngine, over_https},
    failure::{Exit, Failure},
    image_remotes::ImageRemotes,
    init::repair,
    jwt_secret, mcp_endpoint,
    place::StateDir,
    retention,
    simulation::Simulation,
    supervisor::{self, Notice},
};

/// Serve the API until told to stop
///
/// Logs to stderr; CONTAINARIUM_LOG says how much (error, warn, info, debug), info unless set.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// Serve REST; accepted for those who write it, and always so
    #[arg(long, env = "CONTAINARIUM_REST", value_parser = FalseyValueParser::new())]
    pub(crate) rest: bool,
    /// The address to listen on; 0.0.0.0 lets other machines in, without TLS
    #[arg(long, env = "CONTAINARIUM_ADDRESS", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// Refuse an address that other machines reach, where there is no TLS
    #[arg(long, env = "CONTAINARIUM_REQUIRE_TLS", value_parser = FalseyValueParser::new())]
    pub(crate) require_tls: bool,
    /// The port to listen on
    #[arg(long, env = "CONTAINARIUM_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// The secret that tokens are signed with; else CONTAINARIUM_JWT_SECRET. Others on this
    /// machine can read a command line: a file is safer
    #[arg(long, value_name = "SECRET", conflicts_with = "jwt_secret_file")]
    pub(crate) jwt_secret: Option<SecretString>,
    /// A file with that secret; else CONTAINARIUM_JWT_SECRET_FILE, else
    /// /etc/containarium/jwt.secret, else one in the state directory, made at random
    #[arg(long, value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,
    /// A name that clients of /mcp call this server by, such as containers.example.com; its own name,
    /// localhost and addresses are known. Again for each
    #[arg(
        long,
        value_name = "NAME",
        env = "CONTAINARIUM_ALLOWED_HOSTS",
        value_delimiter = ' ',
        value_parser = mcp_endpoint::host
    )]
    pub(crate) allowed_host: Vec<String>,
    #[command(flatten)]
    pub(crate) image_remotes: ImageRemotes,
    #[command(flatten)]
    pub(crate) state: StateDir,
    /// The engine: auto or unix:PATH, where Incus listens; https://HOST:PORT, an Incus whose containers
    /// this machine reaches; or sim, a simulation in this process that
    /// wants neither root nor Incus, keeps its secret in ~/.local/state/containarium-sim, and creates
    /// nothing real
    #[arg(long, env = "CONTAINARIUM_ENGINE", default_value = "auto")]
    pub(crate) engine: DaemonEngine,
    /// For an engine over https: a directory with client.crt and client.key, which Incus trusts
    /// (`incus config trust add-certificate`), and Incus's own server.crt
    #[arg(long, value_name = "DIR", env = "CONTAINARIUM_ENGINE_CERTS")]
    pub(crate) engine_certs: Option<PathBuf>,
    /// How long a deleted container is kept and can be brought back, such as 24h or 30d; 0 keeps
    /// nothing
    #[arg(long, value_name = "DURATION", env = "CONTAINARIUM_RETENTION", default_value = "24h", value_parser = retention::parse)]
    pub(crate) retention: Duration,
    /// Containers to keep booted and frozen, of which a create takes one in milliseconds, such as
    /// local:debian/12,docker=2 (`,docker` as in a create that does not say --no-docker); again for each
    /// image. Each uses about 60 MB of memory; none are kept unless asked for
    #[arg(
        long,
        value_name = "IMAGE[,docker]=COUNT",
        env = "CONTAINARIUM_STANDBYS",
        value_delimiter = ' '
    )]
    pub(crate) standby: Vec<StandbyCount>,
}

impl Daemon {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let filter =
            EnvFilter::try_from_env("CONTAINARIUM_LOG").unwrap_or_else(|_| "info,rmcp=warn".into());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .init();
        let given = jwt_secret::given(self.jwt_secret, self.jwt_secret_file);
        let asked = self.state.state_dir;
        let (state_dir, engine, secret, simulation) = match self.engine {
            DaemonEngine::Incus(socket) => (asked, Incus::unix(socket.path()), given, None),
            DaemonEngine::Https(url) => {
                let incus = over_https(&url, self.engine_certs.as_deref())?;
                (asked, incus, given, None)
            }
            DaemonEngine::Sim => {
                let (simulation, secret) = Simulation::start(&asked, given).await?;
                let (state, incus) = (simulation.state_dir(), Incus::unix(simulation.socket()));
                (state, incus, secret, Some(simulation))
            }
        };
        let config = Config {
            address: self.address,
            port: self.port,
            secret,
            state_dir,
            engine,
            require_tls: self.require_tls,
            settings: Settings {
                remotes: self.image_remotes.into(),
                retention: self.retention,
                standbys: self.standby,
                patience: Patience::default(),
            },
        };
        let server = Server::start(config).await.map_err(refused)?;
        let server = mcp_endpoint::mounted(server, self.allowed_host);
        let address = server.address().map_err(other)?;
        if let Some(simulation) = &simulation {
            // That nobody reads it is no reason not to serve.
            let _unread = simulation.introduce(address);
        }
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).map_err(other)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(other)?;
        let stopping = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: no new requests, what is under way is finished");
            supervisor::tell(Notice::Stopping);
            stopping.cancel();
        });
        supervisor::tell(Notice::Ready);
        server.serve(stop).await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn refused(error: ServeError) -> Failure {
    match &error {
        ServeError::Store(StoreError::NotInitialised) => {
            Failure::new(Exit::Missing, error.to_string()).with_hint("run `containarium init`")
        }
        ServeError::Store(StoreError::Unsound(unsound)) => {
            Failure::new(Exit::Missing, error.to_string()).with_hint(repair(unsound))
        }
        ServeError::Store(StoreError::InUse { .. }) => {
            Failure::new(Exit::Conflict, error.to_string())
        }
        ServeError::NoTls { .. } => Failure::new(Exit::Missing, error.to_string()).with_hint(
            "listen on 127.0.0.1, behind a proxy that speaks TLS; or do without --require-tls",
        ),
        ServeError::Secret(_)
        | ServeError::ShortSecret { .. }
        | ServeError::Store(_)
        | ServeError::Bind { .. } => other(error),
    }
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::{parsed, refused};

    #[test]
    fn an_allowed_host_is_a_name_and_nothing_around_it() {
        parsed("daemon --allowed-host box.example --allowed-host box");
        for other in [
            "https://box.example",
            "box.example:8443",
            "box.example/mcp",
            "a,b",
        ] {
            let error = refused(&format!("daemon --allowed-host {other}"));
            assert!(error.contains("such as containers.example.com"), "{error}");
        }
    }

    /// clap would show the value of a variable in its help, so two are read by us.
    const READ_BY_US: [&str; 2] = ["jwt-secret", "jwt-secret-file"];

    #[test]
    fn every_option_has_its_variable() {
        let command = Daemon::augment_args(clap::Command::new("daemon"));
        let options = command.get_arguments().filter_map(|option| {
            let long = option.get_long()?;
            Some((long.to_owned(), option))
        });
        let mut seen = 0;
        for (long, option) in options {
            let mut variable = format!("CONTAINARIUM_{}", long.to_uppercase().replace('-', "_"));
            // What may be given again stands once in its variable, and so in the plural.
            if matches!(option.get_action(), clap::ArgAction::Append) {
                variable.push('S');
            }
            let read = option.get_env().and_then(|name| name.to_str());
            if READ_BY_US.contains(&long.as_str()) {
                assert_eq!(read, None, "--{long}");
                let help = option.get_help().unwrap().to_string();
                assert!(help.contains(&variable), "--{long}: {help}");
            } else {
                assert_eq!(read, Some(variable.as_str()), "--{long}");
            }
            seen += 1;
        }
        assert_eq!(seen, 13);
    }

    #[test]
    fn two_secrets_are_one_too_many() {
        let error = refused("daemon --jwt-secret a --jwt-secret-file b");
        assert!(error.contains("cannot be used with"), "{error}");
    }
}
