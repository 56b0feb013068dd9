//! `containarium daemon --engine sim`: an installation that is made for this daemon and ends with it,
//! so that whoever has neither root nor Linux's skills can try everything but a login.

use std::{
    env,
    fs::DirBuilder,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use containarium_contract::{HostEngine, ImageRef};
use containarium_core::secret::{self, SecretSource};
use containarium_simulated::Simulated;

use crate::failure::{Exit, Failure};

/// The images that are there, the default one first.
const IMAGES: [&str; 3] = ["images:ubuntu/24.04", "images:debian/12", "local:debian/12"];

/// A running simulation.
pub(crate) struct Simulation {
    there: Simulated,
    /// How `token generate` finds the secret.
    secret_option: String,
}

impl Simulation {
    /// Starts one. `state_dir` is what the command line says of where the daemon remembers, which in
    /// a simulation is only the secret: a token that was made once is good for the next one, too.
    pub(crate) async fn start(
        state_dir: &Path,
        given: SecretSource,
    ) -> Result<(Self, SecretSource), Failure> {
        let images: Result<Vec<ImageRef>, _> = IMAGES.iter().map(|image| image.parse()).collect();
        let images = images.map_err(|e| other(format!("{e:?}")))?;
        let there = Simulated::start(&images, 1).await.map_err(other)?;
        let (secret, secret_option) = match given {
            SecretSource {
                secret: None,
                file: None,
            } => {
                let dir = remembering(state_dir, there.state.path());
                secret::find(SecretSource::default(), &dir, true).map_err(other)?;
                let own = SecretSource {
                    file: Some(secret::own_file(&dir)),
                    secret: None,
                };
                (own, format!(" --state-dir {}", quoted(&dir)))
            }
            SecretSource {
                file: Some(file),
                secret: None,
            } => {
                let option = format!(" --secret-file {}", quoted(&file));
                let file = Some(file);
                (SecretSource { file, secret: None }, option)
            }
            given @ SecretSource {
                secret: Some(_), ..
            } => (given, " --secret-file A_FILE_WITH_THE_SECRET".to_owned()),
        };
        let this = Self {
            there,
            secret_option,
        };
        Ok((this, secret))
    }

    /// The engine's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.there.sim.socket().to_owned()
    }

    /// Where its store is.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.there.state.path().to_owned()
    }

    /// Tells a person on stdout what this is and how to use it.
    pub(crate) fn introduce(&self, mut address: SocketAddr) -> io::Result<()> {
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let program = env::args_os().next().map(PathBuf::from);
        let program = program.map_or_else(|| "containarium".to_owned(), |path| quoted(&path));
        let (simulated, option) = (HostEngine::SIMULATED, &self.secret_option);
        let mut out = io::stdout().lock();
        write!(
            out,
            "{simulated} What is made here is gone when this ends.\n\
             In another terminal:\n\n  \
             export CONTAINARIUM_SERVER_URL=http://{address}\n  \
             export CONTAINARIUM_JWT_TOKEN=$({program} token generate --username admin --roles \
             admin --expiry 30d{option})\n  \
             {program} create alice\n\n"
        )?;
        out.flush()
    }
}

/// The directory that outlives a simulation: the one that was asked for, or one of the user's own.
/// Where it cannot be had, the simulation's, which does not outlive it.
fn remembering(asked: &Path, simulations: &Path) -> PathBuf {
    let wanted = if asked == Path::new(secret::STATE_DIR) {
        let xdg = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let base = xdg.or(home).filter(|base| base.is_absolute());
        base.map(|base| base.join("containarium-sim"))
    } else {
        Some(asked.to_owned())
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    wanted
        .filter(|dir| builder.create(dir).is_ok())
        .unwrap_or_else(|| simulations.to_owned())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_read_more_into_it() {
        assert_eq!(quoted(Path::new("/home/a-b/.x")), "/home/a-b/.x");
        assert_eq!(quoted(Path::new("/a b")), "'/a b'");
        assert_eq!(quoted(Path::new("/a'b$c")), r"'/a'\''b$c'");
    }

    #[test]
    fn a_directory_that_cannot_be_had_is_replaced() {
        let simulations = tempfile::tempdir().unwrap();
        let asked = Path::new("/proc/no/such");
        assert_eq!(remembering(asked, simulations.path()), simulations.path());
        let asked = simulations.path().join("mine/state");
        assert_eq!(remembering(&asked, simulations.path()), asked);
        assert!(asked.is_dir());
    }
}
