//! Logging in over SSH, with the system's own client, as a user would.

use std::{path::PathBuf, process::Stdio};

use containarium_contract::Container;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// A key pair of its own.
pub struct Key {
    dir: TempDir,
    public: String,
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Key {
    /// Makes one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
            .arg(dir.path().join("key"))
            .status()
            .unwrap();
        assert!(made.success(), "ssh-keygen");
        let public = std::fs::read_to_string(dir.path().join("key.pub"))
            .unwrap()
            .trim()
            .to_owned();
        Self { dir, public }
    }

    /// One line of authorized_keys.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The file of the private half.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    /// How to log in to a container with it.
    pub fn login(&self, container: &Container) -> Login {
        Login {
            key: self.path(),
            at: format!("{}@{}", container.username, container.network.ip_address),
        }
    }
}

/// A user with a key and an address.
#[derive(Clone, Debug)]
pub struct Login {
    key: PathBuf,
    at: String,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit status; 255 where there was no login.
    pub status: i32,
    /// Its stdout, without line breaks at the end.
    pub stdout: String,
    /// Its stderr, the same.
    pub stderr: String,
}

impl Login {
    /// Runs a shell command inside, with these bytes as its stdin.
    pub async fn run_with(&self, command: &str, stdin: &[u8]) -> Said {
        let mut ssh = Command::new("ssh")
            .arg("-i")
            .arg(&self.key)
            .args([
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "BatchMode=yes",
                "-o",
                "ConnectTimeout=5",
            ])
            // Addresses come round again with other host keys.
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args(["-o", "LogLevel=ERROR", &self.at, "--", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut to = ssh.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        // Beside the reading, or both sides could wait for each other.
        let writing = tokio::spawn(async move {
            // A command that does not read its stdin breaks the pipe.
            let _broken = to.write_all(&stdin).await;
        });
        let output = ssh.wait_with_output().await.unwrap();
        writing.await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Said {
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs a shell command inside.
    pub async fn run(&self, command: &str) -> Said {
        self.run_with(command, &[]).await
    }

    /// What a command prints that must succeed.
    pub async fn says(&self, command: &str) -> String {
        let said = self.run(command).await;
        assert_eq!(said.status, 0, "`{command}`: {said:?}");
        said.stdout
    }

    /// Runs a command that must fail; its stderr.
    pub async fn refuses(&self, command: &str) -> String {
        let said = self.run(command).await;
        assert!(
            ![0, 255].contains(&said.status),
            "`{command}` should fail: {said:?}"
        );
        said.stderr
    }

    /// Puts an executable file there.
    pub async fn push(&self, content: &[u8], path: &str) {
        let said = self
            .run_with(&format!("cat > {path} && chmod +x {path}"), content)
            .await;
        assert_eq!(said.status, 0, "pushing {path}: {said:?}");
    }
}
