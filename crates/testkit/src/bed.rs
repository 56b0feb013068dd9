//! The private engine that `scripts/with-engine` gives the live suite.

use std::{collections::HashSet, env, fs, path::PathBuf, time::Duration};

use containarium_core::{Installation, Store};
use containarium_incus::{Client, Instance, StateChange, StatusCode};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{Engine, Paused, daemon::copy, slate::failed, wait_for};

/// How long Incus may take to kill or remove an instance.
const REMOVE: Duration = Duration::from_secs(60);
/// How long an engine that runs may take to say so.
const ANSWER: Duration = Duration::from_secs(5);
/// How long what the last test's daemon had begun may go on.
const OVER: Duration = Duration::from_secs(30);

/// An initialised installation on an Incus that is ours alone.
#[derive(Clone, Debug)]
pub struct Bed {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The store that `init` left; each daemon works on a copy.
    pub state: PathBuf,
    /// `INCUS_DIR`.
    pub incus_dir: PathBuf,
    /// What `init` decided.
    pub installation: Installation,
}

impl Bed {
    /// The bed, emptied of the containers and prepared images that an earlier test left; `None`, with the reason printed,
    /// where there is no engine to test on. Without one under `CI=true` it panics: there nothing is skipped. It panics, too,
    /// where an earlier test that did not fail left what no container or image has: it is removed all the same, so that
    /// only one test fails for it.
    pub async fn made() -> Option<Self> {
        let variable =
            |name: &str| env::var_os(format!("CONTAINARIUM_TEST_{name}")).map(PathBuf::from);
        let (Some(socket), Some(state), Some(incus_dir)) =
            (variable("SOCKET"), variable("STATE"), variable("INCUS_DIR"))
        else {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "no engine to test on, and CI=true: run this with scripts/with-engine"
            );
            eprintln!("skipped: no engine to test on; scripts/with-engine brings one");
            return None;
        };
        let installation = Store::open(&state).unwrap().installation().await.unwrap();
        let bed = Self {
            socket,
            state,
            incus_dir,
            installation,
        };
        // The script takes longer than most of what a test does before it begins.
        if !bed.engine_answers().await {
            bed.start_engine();
        }
        bed.sweep().await;
        Some(bed)
    }

    /// Incus, in the installation's project.
    pub fn incus(&self) -> Client {
        Client::unix(&self.socket).in_project(&self.installation.name)
    }

    /// The instances that are there. Fails the test where the engine does not answer.
    pub async fn instances(&self) -> Vec<Instance> {
        self.incus().instances().await.unwrap()
    }

    /// Those that are not deleted and kept.
    pub async fn living(&self) -> Vec<Instance> {
        let mut all = self.instances().await;
        all.retain(|one| !one.config.contains_key("user.containarium.deleted"));
        all
    }

    /// Waits until no instance is left: what could not be undone at once is undone soon after.
    pub async fn emptied(&self, within: Duration) {
        wait_for(within, "no instance is left", async || {
            let left: Vec<String> = self.instances().await.into_iter().map(|i| i.name).collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    async fn engine_answers(&self) -> bool {
        let answers = timeout(ANSWER, Client::unix(&self.socket).server()).await;
        matches!(answers, Ok(Ok(_)))
    }

    async fn sweep(&self) {
        let incus = self.incus();
        let surprises = self.surprises().await;
        let removals = self.instances().await.into_iter().map(|left| {
            let incus = incus.clone();
            async move {
                if left.status_code != StatusCode::STOPPED
                    && let Ok(killed) = incus.change_state(&left.name, &StateChange::kill()).await
                {
                    // That it was gone already is as good.
                    let _stopped = incus.wait(&killed, REMOVE).await;
                }
                let removed = incus.delete_instance(&left.name).await.unwrap();
                incus.wait(&removed, REMOVE).await.unwrap();
            }
        });
        removals.collect::<JoinSet<()>>().join_all().await;
        // What `init` made is of this host's own release, and so local.
        for image in incus.images().await.unwrap() {
            if !image
                .aliases
                .iter()
                .any(|alias| alias.name.contains("/local/"))
            {
                let removed = incus.delete_image(&image.fingerprint).await.unwrap();
                incus.wait(&removed, REMOVE).await.unwrap();
            }
        }
        // What a test that failed left in the middle is none.
        let excused = fs::remove_file(failed(&self.incus_dir)).is_ok();
        assert!(
            surprises.is_empty() || excused,
            "an earlier test left: {surprises:?}"
        );
    }

    /// What an earlier test left that is no instance, and no image with a name: volumes without an instance,
    /// images that a preparation published and did not name, operations that do not end.
    async fn surprises(&self) -> Vec<String> {
        let incus = self.incus();
        let end = Instant::now() + OVER;
        let mut surprises = loop {
            let running = incus.operations().await.unwrap();
            let running: Vec<String> = running
                .into_iter()
                .map(|one| format!("an operation: {} {:?}", one.description, one.resources))
                .collect();
            if running.is_empty() || Instant::now() > end {
                break running;
            }
            sleep(Duration::from_millis(50)).await;
        };
        let (instances, volumes, images) = tokio::join!(
            self.instances(),
            incus.storage_volumes(&self.installation.pool),
            incus.images()
        );
        let there: HashSet<&str> = instances.iter().map(|one| one.name.as_str()).collect();
        for volume in volumes.unwrap() {
            let instance = volume.name.split('/').next().unwrap_or_default();
            if volume.kind == "container" && !there.contains(instance) {
                surprises.push(format!("a volume: {}", volume.name));
            }
        }
        let images = images.unwrap().into_iter();
        let unnamed = images.filter(|image| image.aliases.is_empty());
        surprises.extend(unnamed.map(|image| format!("an image: {}", image.fingerprint)));
        surprises
    }

    /// A fresh copy of the state directory.
    pub fn copied_state(&self) -> TempDir {
        copy(self)
    }

    /// Where the pool is mounted on the host.
    pub fn pool(&self) -> PathBuf {
        self.engine().pool(&self.installation.pool)
    }

    /// Ends incusd the way a power cut would: no shutdown, and its containers go on.
    pub fn kill_engine(&self) {
        self.engine().kill();
    }

    /// Starts incusd again, or finds it running.
    pub fn start_engine(&self) {
        self.engine().start();
    }

    /// Stops incusd where it is, until what comes back is resumed or dropped.
    pub fn pause_engine(&self) -> Paused {
        self.engine().pause()
    }

    fn engine(&self) -> Engine {
        Engine {
            dir: self.incus_dir.clone(),
        }
    }
}
