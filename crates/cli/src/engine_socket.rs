//! Which Incus is meant: found by itself, or named.

use std::{
    env, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use containarium_core::{Certificates, Incus};

use crate::failure::{Exit, Failure};

/// `auto`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineSocket {
    /// Where Incus's own client would look, then where distributions put it.
    Auto,
    /// This socket.
    Unix(PathBuf),
}

impl EngineSocket {
    /// The socket's path; the first candidate that exists, else the one that should.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Unix(path) => path.clone(),
            Self::Auto => {
                let own = env::var_os("INCUS_SOCKET").map(PathBuf::from);
                let dir =
                    env::var_os("INCUS_DIR").map(|dir| PathBuf::from(dir).join("unix.socket"));
                if let Some(named) = own.or(dir) {
                    return named;
                }
                let usual = PathBuf::from("/var/lib/incus/unix.socket");
                let run = PathBuf::from("/run/incus/unix.socket");
                if !usual.exists() && run.exists() {
                    run
                } else {
                    usual
                }
            }
        }
    }
}

impl FromStr for EngineSocket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "sim" => Err("a simulated engine needs no preparation and leaves \
                nothing behind: only `containarium daemon --engine sim` has one"
                .into()),
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) | None => {
                Err("an engine is `auto` or `unix:` and the absolute path of Incus's socket".into())
            }
        }
    }
}

/// What a daemon can work on: an Incus, or a simulation of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DaemonEngine {
    /// In this process; nothing real is created, and no rights are needed.
    Sim,
    /// Incus, on this machine.
    Incus(EngineSocket),
    /// Incus, over its HTTPS port.
    Https(String),
}

/// Incus over HTTPS, with the certificates in `dir`: `client.crt` and `client.key`, which Incus
/// trusts, and its own `server.crt`.
pub(crate) fn over_https(url: &str, dir: Option<&Path>) -> Result<Incus, Failure> {
    let dir = dir.ok_or_else(|| {
        Failure::new(Exit::Usage, "an engine over https needs certificates").with_hint(
            "give --engine-certs, a directory with client.crt, client.key and Incus's server.crt",
        )
    })?;
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read(&path).map_err(|e| Failure::new(Exit::Missing, format!("{}: {e}", path.display())))
    };
    let certificates = Certificates {
        client: read("client.crt")?,
        key: read("client.key")?,
        server: read("server.crt")?,
    };
    Incus::https(url, &certificates).map_err(|e| {
        Failure::new(Exit::Usage, e.to_string()).with_hint("check --engine and --engine-certs")
    })
}

impl FromStr for DaemonEngine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sim" => Ok(Self::Sim),
            url if url.starts_with("https://") => Ok(Self::Https(url.to_owned())),
            incus => incus
                .parse()
                .map(Self::Incus)
                .map_err(|why| format!("{why}, or `https://HOST:PORT`, or `sim`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_auto_or_a_socket() {
        assert_eq!("auto".parse(), Ok(EngineSocket::Auto));
        assert_eq!("unix:/x/y".parse(), Ok(EngineSocket::Unix("/x/y".into())));
        for bad in ["", "sim", "unix:", "unix:x", "https://x"] {
            assert!(bad.parse::<EngineSocket>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_daemons_engine_may_be_a_simulation() {
        assert_eq!("sim".parse(), Ok(DaemonEngine::Sim));
        let url = "https://h:8443";
        assert_eq!(url.parse(), Ok(DaemonEngine::Https(url.into())));
        let refused = over_https(url, None).unwrap_err();
        assert!(format!("{refused:?}").contains("--engine-certs"));
        let socket = EngineSocket::Unix("/x/y".into());
        assert_eq!("unix:/x/y".parse(), Ok(DaemonEngine::Incus(socket)));
        let error = "incus".parse::<DaemonEngine>().unwrap_err();
        assert!(error.ends_with("or `sim`"), "{error}");
    }
}
