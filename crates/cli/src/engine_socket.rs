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
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) | None => {
                Err("an engine is `auto` or `unix:` and the absolute path of Incus's socket".into())
            }
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
}
