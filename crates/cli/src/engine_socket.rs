//! Which Incus is meant: found by itself, or named.

use std::{env, path::PathBuf, str::FromStr};

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
    /// Incus.
    Incus(EngineSocket),
}

impl FromStr for DaemonEngine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sim" => Ok(Self::Sim),
            incus => incus
                .parse()
                .map(Self::Incus)
                .map_err(|why| format!("{why}, or `sim`")),
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
        let socket = EngineSocket::Unix("/x/y".into());
        assert_eq!("unix:/x/y".parse(), Ok(DaemonEngine::Incus(socket)));
        let error = "incus".parse::<DaemonEngine>().unwrap_err();
        assert!(error.ends_with("or `sim`"), "{error}");
    }
}
