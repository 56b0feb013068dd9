//! The engine under a daemon that is tested: an incusd in memory, or a real one of our own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use containarium_incus::{Client, Instance};
use containarium_simulated::Sim;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Bed, Paused, Simulated,
    daemon::copy,
    quick_guest::{QUICK, import_quick_guest},
};

/// An engine that a test has power over, and the state directory of an installation on it.
pub struct Under {
    kind: Kind,
    /// What `init` left.
    pub state: Arc<TempDir>,
    /// The engine's socket.
    pub socket: PathBuf,
    /// The same, asked by its API.
    pub incus: Client,
    /// Where a container's sshd listens.
    pub ssh_port: u16,
    paused: std::sync::Mutex<Option<Paused>>,
}

enum Kind {
    Sim(Sim),
    Live(Bed),
}

impl Under {
    /// An incusd in memory; the search for its subnet begins at 127.`subnet`.
    pub async fn sim(subnet: u8) -> Self {
        let Simulated { sim, incus, state } = Simulated::on(subnet).await;
        Self {
            socket: sim.socket().to_owned(),
            kind: Kind::Sim(sim),
            state,
            incus,
            ssh_port: Sim::SSH_PORT,
            paused: std::sync::Mutex::default(),
        }
    }

    /// The live suite's incusd, emptied; `None` where there is none.
    pub async fn live() -> Option<Self> {
        let bed = Bed::made().await?;
        import_quick_guest(&bed.incus()).await;
        Some(Self {
            socket: bed.socket.clone(),
            state: Arc::new(copy(&bed)),
            incus: bed.incus(),
            kind: Kind::Live(bed),
            ssh_port: 22,
            paused: std::sync::Mutex::default(),
        })
    }

    /// The incusd in memory, where it is one.
    pub fn simulated(&self) -> Option<&Sim> {
        match &self.kind {
            Kind::Sim(sim) => Some(sim),
            Kind::Live(_) => None,
        }
    }

    /// Where the live one's pool is mounted.
    pub fn pool(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Sim(_) => None,
            Kind::Live(bed) => Some(bed.pool()),
        }
    }

    /// Ends incusd as a power cut would.
    pub async fn kill(&self) {
        match &self.kind {
            Kind::Sim(sim) => sim.crash().await,
            Kind::Live(bed) => bed.kill_engine(),
        }
    }

    /// Starts it again.
    pub async fn start(&self) {
        match &self.kind {
            Kind::Sim(sim) => sim.restart().unwrap(),
            Kind::Live(bed) => {
                let bed = bed.clone();
                tokio::task::spawn_blocking(move || bed.start_engine())
                    .await
                    .unwrap();
            }
        }
    }

    /// Stops it where it is, until [`Under::resume`].
    pub fn pause(&self) {
        match &self.kind {
            Kind::Sim(sim) => sim.hang(true),
            Kind::Live(bed) => *self.paused.lock().unwrap() = Some(bed.pause_engine()),
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        match &self.kind {
            Kind::Sim(sim) => sim.hang(false),
            Kind::Live(_) => drop(self.paused.lock().unwrap().take()),
        }
    }

    /// The instances of containers that it has.
    pub async fn instances(&self) -> Vec<Instance> {
        let all = self.incus.instances().await.unwrap();
        let containers = all.into_iter().filter(|i| i.name.starts_with("c-"));
        containers.collect()
    }

    /// The request of a small container. On a real engine it is one that boots at once: what is killed here is the daemon and
    /// Incus, and a guest's own boot would only take time.
    pub fn small(&self, username: &str) -> Value {
        let mut small = self.small_debian(username);
        if self.simulated().is_none() {
            small["image"] = json!(QUICK);
            small["enableDocker"] = json!(false);
        }
        small
    }

    /// The same from the default image: of a real engine's with sshd, keys and all that a standby needs.
    pub fn small_debian(&self, username: &str) -> Value {
        json!({
            "username": username,
            "resources": {"cpu": "1", "memory": "512MiB", "disk": "3GB"},
        })
    }

    /// How long things may take here that take a moment.
    pub fn patience(&self) -> Duration {
        match &self.kind {
            Kind::Sim(_) => Duration::from_secs(20),
            Kind::Live(_) => Duration::from_secs(60),
        }
    }
}
