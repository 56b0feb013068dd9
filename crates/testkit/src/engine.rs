//! Power over the private incusd that `scripts/with-engine` gives: killed, stopped for a while, started.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The incusd of a private `INCUS_DIR`.
#[derive(Clone, Debug)]
pub struct Engine {
    /// `INCUS_DIR`.
    pub dir: PathBuf,
}

/// An incusd that is stopped, as by SIGSTOP: its socket takes connections, and nobody answers. It goes on
/// when this is dropped, also by a test that fails.
#[derive(Debug)]
#[must_use = "it goes on when this is dropped"]
pub struct Paused {
    pid: String,
}

impl Engine {
    /// The one that the suite was given; `None` where it was given none.
    pub fn given() -> Option<Self> {
        let dir = env::var_os("CONTAINARIUM_TEST_INCUS_DIR")?.into();
        Some(Self { dir })
    }

    /// Where a pool is mounted on the host.
    pub fn pool(&self, name: &str) -> PathBuf {
        self.dir.join("storage-pools").join(name)
    }

    /// Ends it the way a power cut would: no shutdown, and its containers go on.
    pub fn kill(&self) {
        // For whoever looks what is left behind: some of it is this one's.
        fs::write(self.dir.with_file_name("killed"), "").unwrap();
        signal("KILL", &self.pid());
    }

    /// Starts it again, or finds it running.
    pub fn start(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/start-engine");
        let started = Command::new(script)
            .env("INCUS_DIR", &self.dir)
            .output()
            .unwrap();
        assert!(
            started.status.success(),
            "start-engine: {}",
            String::from_utf8_lossy(&started.stderr)
        );
    }

    /// Stops it where it is; its containers go on.
    pub fn pause(&self) -> Paused {
        let pid = self.pid();
        signal("STOP", &pid);
        Paused { pid }
    }

    /// As start-engine wrote it down.
    fn pid(&self) -> String {
        let file = self.dir.with_file_name("incus.run").join("incusd.pid");
        let text = std::fs::read_to_string(&file).unwrap();
        text.split(' ').next().unwrap().trim().to_owned()
    }
}

impl Paused {
    /// Lets it go on.
    pub fn resume(self) {
        drop(self);
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // One that was killed meanwhile is no reason to fail.
        let _gone = Command::new("kill").args(["-CONT", &self.pid]).status();
    }
}

fn signal(signal: &str, pid: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), pid])
        .status()
        .unwrap();
    assert!(sent.success(), "kill -{signal} {pid}");
}
