//! The daemon that is measured where none is given: the optimised program, a process of its own.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use containarium_core::{Principal, Role, token};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};
use ulid::Ulid;

use crate::Bed;

/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(60);
/// Between two questions whether it is.
const PAUSE: Duration = Duration::from_micros(200);

/// What it is started on, again and again.
pub(super) struct Installed {
    program: PathBuf,
    socket: PathBuf,
    state: TempDir,
    secret: String,
    secret_file: PathBuf,
    /// The standbys that it keeps from its next life on.
    pub(super) standby: Option<String>,
}

/// One life of it.
pub(super) struct Daemon {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    /// From exec until it said that it is ready.
    pub(super) cold: Duration,
}

impl Installed {
    /// On a copy of the store that `init` left.
    pub(super) fn on(bed: &Bed, program: &Path) -> Self {
        let state = crate::daemon::copy(bed);
        let secret = format!("{}{}", Ulid::generate(), Ulid::generate());
        let secret_file = state.path().join("secret");
        private(&secret_file, &secret);
        Self {
            program: program.to_owned(),
            socket: bed.socket.clone(),
            state,
            secret,
            secret_file,
            standby: None,
        }
    }

    /// An admin's token, good for a day.
    pub(super) fn token(&self) -> String {
        let who = Principal {
            subject: "admin".parse().unwrap(),
            roles: vec![Role::Admin],
            restrictions: Vec::new(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let secret = self.secret.clone().into_bytes().into();
        let day = Duration::from_secs(24 * 3600);
        token::mint(&secret, &who, now.as_secs(), day, Ulid::generate()).unwrap()
    }

    /// Starts it and waits until it is ready. What it logs is read and thrown away.
    pub(super) async fn start(&self) -> Daemon {
        let begun = Instant::now();
        let standby = self.standby.iter().flat_map(|kind| ["--standby", kind]);
        let mut child = Command::new(&self.program)
            .args(["daemon"])
            .args(standby)
            .args(["--port", "0", "--address", "127.0.0.1", "--engine"])
            .arg(format!("unix:{}", self.socket.display()))
            .arg("--state-dir")
            .arg(self.state.path())
            .arg("--jwt-secret-file")
            .arg(&self.secret_file)
            .env_remove("CONTAINARIUM_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = Vec::new();
        let address = loop {
            let Some(line) = log.next_line().await.unwrap() else {
                panic!("the daemon ended before it listened:\n{}", told.join("\n"));
            };
            if let Some(address) = listening(&line) {
                break address.to_owned();
            }
            told.push(line);
        };
        // A log that nobody reads would stop it once the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        while !is_ready(&address).await {
            assert!(begun.elapsed() < START, "the daemon is not ready");
            sleep(PAUSE).await;
        }
        Daemon {
            child,
            url: format!("http://{address}"),
            cold: begun.elapsed(),
        }
    }
}

impl Daemon {
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Ends it gracefully.
    pub(super) async fn stop(mut self) {
        let id = self.pid().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(told.unwrap().success());
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "the daemon: {status}");
    }
}

/// A file that only its owner reads.
pub(super) fn private(path: &Path, content: &str) {
    let mut file = fs::OpenOptions::new();
    let file = file.create_new(true).write(true).mode(0o600).open(path);
    file.unwrap().write_all(content.as_bytes()).unwrap();
}

/// The address in the line of the log that says that it listens.
fn listening(line: &str) -> Option<&str> {
    if !line.contains("listening") {
        return None;
    }
    let from = line.get(line.find("127.0.0.1:")?..)?;
    let end = from.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
    from.get(..end.unwrap_or(from.len()))
}

/// Whether `GET /ready` says 200. By hand: a client that is made first would be part of the time.
async fn is_ready(address: &str) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /ready HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            .await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, std::io::Error>(status == *b"HTTP/1.1 200")
    };
    ask.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn the_address_is_found_in_the_log() {
        let line = "2026-01-01T00:00:00Z  INFO containarium::daemon: listening address=127.0.0.1:4711 version=\"0.1.0\"";
        assert_eq!(listening(line), Some("127.0.0.1:4711"));
        assert_eq!(listening("opened 127.0.0.1:1"), None);
    }
}
