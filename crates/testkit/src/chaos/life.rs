//! A daemon that is a process of its own, as users have it: started, killed, started again on the same
//! state directory.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use containarium_core::{KILL_VARIABLE, Principal, Role, token};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use ulid::Ulid;

use super::{Calls, Under};

/// How long a daemon may take until it listens.
const START: Duration = Duration::from_secs(30);
/// Between two looks at its log.
const PAUSE: Duration = Duration::from_millis(5);

/// The daemon of one state directory, life after life.
pub struct Life {
    program: PathBuf,
    engine: PathBuf,
    state: Arc<TempDir>,
    logs: TempDir,
    secret: Vec<u8>,
    /// How long it keeps what was deleted.
    pub retention: &'static str,
    /// The standbys that it keeps.
    pub standby: Option<&'static str>,
    lives: u32,
    child: Option<Child>,
    url: String,
}

impl Life {
    /// A daemon of this program on this engine; not started yet.
    pub fn new(program: &Path, under: &Under) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let secret = format!("{}{}", Ulid::generate(), Ulid::generate());
        let mut file = fs::OpenOptions::new();
        let mut file = file
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(logs.path().join("secret"))
            .unwrap();
        std::io::Write::write_all(&mut file, secret.as_bytes()).unwrap();
        Self {
            program: program.to_owned(),
            engine: under.socket.clone(),
            state: Arc::clone(&under.state),
            logs,
            secret: secret.into_bytes(),
            retention: "24h",
            standby: None,
            lives: 0,
            child: None,
            url: String::new(),
        }
    }

    /// Starts it, and waits until it listens. With `kill_at` it kills itself at that point, which may
    /// be before.
    pub async fn start(&mut self, kill_at: Option<&str>) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "the last one was not killed");
        self.lives += 1;
        let log = self.log();
        let mut command = Command::new(&self.program);
        command
            .args(["daemon", "--port", "0", "--engine"])
            .arg(format!("unix:{}", self.engine.display()))
            .arg("--state-dir")
            .arg(self.state.path())
            .arg("--jwt-secret-file")
            .arg(self.logs.path().join("secret"))
            .env_remove(KILL_VARIABLE)
            .env("CONTAINARIUM_RETENTION", self.retention)
            .env("CONTAINARIUM_LOG", "info,containarium_core=debug")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true);
        if let Some(standby) = self.standby {
            command.env("CONTAINARIUM_STANDBYS", standby);
        }
        if let Some(point) = kill_at {
            command.env(KILL_VARIABLE, point);
        }
        let child = self.child.insert(command.spawn().unwrap());
        let end = Instant::now() + START;
        loop {
            let text = fs::read_to_string(&log).unwrap();
            if let Some(url) = told(&text) {
                self.url = url;
                return Ok(());
            }
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                let at_will = kill_at.is_some() && killed(status);
                assert!(at_will, "it ended before it listened: {status}\n{text}");
                return Err(status);
            }
            assert!(Instant::now() < end, "not started:\n{text}");
            sleep(PAUSE).await;
        }
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Whether it killed itself, as it was asked to. It is not waited for.
    pub fn is_dead(&mut self) -> bool {
        let Some(child) = &mut self.child else {
            return true;
        };
        let Some(status) = child.try_wait().unwrap() else {
            return false;
        };
        self.child = None;
        assert!(killed(status), "{status}:\n{}", self.told());
        true
    }

    /// Ends it gracefully.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = child.id().unwrap().to_string();
            let told = Command::new("kill").args(["-TERM", &id]).status().await;
            assert!(told.unwrap().success());
            let status = child.wait().await.unwrap();
            assert!(status.success(), "{status}:\n{}", self.told());
        }
    }

    /// `http://ADDRESS:PORT` of this life.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The variable that gives `containarium token` its secret, and what is in it.
    pub fn secret_variable(&self) -> (&'static str, String) {
        let secret = String::from_utf8(self.secret.clone());
        ("CONTAINARIUM_JWT_SECRET", secret.unwrap())
    }

    /// An admin's way to call it.
    pub fn calls(&self) -> Calls {
        let who = Principal {
            subject: "admin".parse().unwrap(),
            roles: vec![Role::Admin],
            restrictions: Vec::new(),
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let secret = self.secret.clone().into();
        let day = Duration::from_secs(24 * 3600);
        let token = token::mint(&secret, &who, now, day, Ulid::generate()).unwrap();
        Calls::new(&self.url, &token)
    }

    /// What this life wrote into its log.
    pub fn told(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Keeps the logs of all its lives, for whoever looks why a test failed.
    pub fn keep_logs(&mut self) -> PathBuf {
        self.logs.disable_cleanup(true);
        self.logs.path().to_owned()
    }

    fn log(&self) -> PathBuf {
        self.logs.path().join(format!("{:05}.log", self.lives))
    }
}

/// The URL in its log.
fn told(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find(|line| line.contains("listening address="))?;
    let at = line.split("address=").nth(1)?.split_whitespace().next()?;
    log.ends_with('\n').then(|| format!("http://{at}"))
}

fn killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}
