//! What is measured: a daemon, its engine where it can be reached, and what a caller needs.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use containarium_incus::StateChange;
use reqwest::Method;
use tempfile::TempDir;
use tokio::process::Command;
use ulid::Ulid;

use super::{
    daemon::{Daemon, Installed, private},
    options::Target,
    raw::{Model, Raw},
    rest::Rest,
    ssh, startups,
    tally::Tally,
    way::Way,
};
use crate::{Bed, Key};

/// How long a container may take to shut down; more than it needs.
const SHUT_DOWN: Duration = Duration::from_secs(30);

/// The place of a run.
pub(super) struct Place {
    /// The daemon.
    pub(super) rest: Rest,
    /// Its engine, where it is given.
    pub(super) raw: Option<Raw>,
    /// The daemon and the bed, where they are our own.
    pub(super) own: Option<Own>,
    key: Key,
    home: TempDir,
    run: String,
    model: OnceLock<Model>,
}

/// A daemon that we started ourselves.
pub(super) struct Own {
    /// The engine.
    pub(super) bed: Bed,
    /// Its state directory, which goes with it.
    _installed: Installed,
    /// The daemon.
    pub(super) daemon: Daemon,
}

/// A container, by whatever way it was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// By which.
    pub(super) way: Way,
    /// Who logs in.
    pub(super) username: String,
    /// Where.
    pub(super) address: Ipv4Addr,
    /// The instance's name; the daemon's own affair where it made it.
    pub(super) instance: String,
}

impl Place {
    /// A private engine with a daemon of our own; `None`, with the reason told, where there is none.
    /// How the daemon starts is measured.
    pub(super) async fn own(tally: &mut Tally, rounds: u32) -> Option<Self> {
        let bed = Bed::made().await?;
        let installed = Installed::on(&bed, &beside("containarium"));
        let daemon = startups::measure(&installed, tally, rounds).await;
        Some(Self::on(bed, installed, daemon))
    }

    /// The same with a daemon that keeps a standby, for what is measured of those alone.
    pub(super) async fn standing_by() -> Option<Self> {
        let bed = Bed::made().await?;
        let mut installed = Installed::on(&bed, &beside("containarium"));
        installed.standby = Some(format!("{},docker=1", bed.installation.default_image));
        let daemon = installed.start().await;
        Some(Self::on(bed, installed, daemon))
    }

    fn on(bed: Bed, installed: Installed, daemon: Daemon) -> Self {
        let rest = Rest::new(&daemon.url, &installed.token());
        let raw = Raw::new(&bed.socket, &bed.installation.name);
        let token = installed.token();
        let own = Own {
            bed,
            _installed: installed,
            daemon,
        };
        Self::with(rest, &token, Some(raw), Some(own))
    }

    /// A daemon that runs already.
    pub(super) fn given(target: &Target) -> Self {
        let token = fs::read_to_string(&target.token_file)
            .unwrap_or_else(|error| panic!("{}: {error}", target.token_file.display()));
        let token = token.trim();
        let raw = target.engine.as_ref().zip(target.project.as_ref());
        let raw = raw.map(|(socket, project)| Raw::new(socket, project));
        Self::with(Rest::new(&target.url, token), token, raw, None)
    }

    fn with(rest: Rest, token: &str, raw: Option<Raw>, own: Option<Own>) -> Self {
        let home = tempfile::tempdir().unwrap();
        private(&home.path().join("token"), token);
        let run = Ulid::generate().to_string().to_lowercase();
        Self {
            rest,
            raw,
            own,
            key: Key::new(),
            home,
            // The end of it is what differs.
            run: run.get(20..).unwrap_or_default().to_owned(),
            model: OnceLock::new(),
        }
    }

    /// The public key that logs in to all of them.
    pub(super) fn public_key(&self) -> &str {
        self.key.public()
    }

    /// The name of the user number `slot` of this run, the same by each way.
    pub(super) fn username(&self, slot: u32) -> String {
        format!("bench-{}-{slot}", self.run)
    }

    /// The name of an instance past the daemon.
    fn instance(&self, way: Way, slot: u32) -> String {
        format!("{}-{}-{slot}", way.name(), self.run)
    }

    /// The file of the private key that logs in.
    pub(super) fn key(&self) -> PathBuf {
        self.key.path()
    }

    /// The ways that there are here.
    pub(super) fn ways(&self) -> &'static [Way] {
        if self.raw.is_some() {
            &Way::ALL
        } else {
            &[Way::Ours]
        }
    }

    /// Incus, where a way past the daemon is gone.
    pub(super) fn incus(&self) -> &Raw {
        self.raw.as_ref().unwrap()
    }

    /// Learns from a container of the daemon's what to ask Incus for.
    pub(super) async fn learn(&self, username: &str) {
        if let Some(raw) = &self.raw
            && self.model.get().is_none()
        {
            let _first = self.model.set(raw.model(username).await);
        }
    }

    /// What was learnt.
    pub(super) fn model(&self) -> &Model {
        self.model.get().unwrap()
    }

    /// Makes a container, until that is answered.
    pub(super) async fn create(&self, way: Way, slot: u32) -> Made {
        let username = self.username(slot);
        let (instance, address) = match way {
            Way::Ours => {
                let address = self.rest.create(&username, self.key.public()).await;
                (String::new(), address)
            }
            Way::Raw => {
                let (post, address) = self.model().post(&self.instance(way, slot), slot);
                self.incus().create(&post).await;
                (post.name, address)
            }
            Way::Incus => {
                let (post, address) = self.model().post(&self.instance(way, slot), slot);
                let (arguments, stdin) = self.model().launch(&post);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.incus().command(&arguments, Some(&stdin)).await;
                (post.name, address)
            }
        };
        Made {
            way,
            // Whoever logs in is part of what was learnt.
            username: if way == Way::Ours {
                username
            } else {
                self.username(0)
            },
            address,
            instance,
        }
    }

    /// Asks it to shut down, until it has.
    pub(super) async fn stop(&self, made: &Made) {
        match made.way {
            Way::Ours => {
                let path = format!("/v1/containers/{}/stop", made.username);
                self.rest.change(Method::POST, &path, None).await;
            }
            Way::Raw => {
                let stop = StateChange::stop(SHUT_DOWN);
                self.incus().change(&made.instance, &stop).await;
            }
            Way::Incus => {
                self.incus().command(&["stop", &made.instance], None).await;
            }
        }
    }

    /// Starts it, until that is answered.
    pub(super) async fn start(&self, made: &Made) {
        match made.way {
            Way::Ours => {
                let path = format!("/v1/containers/{}/start", made.username);
                self.rest.change(Method::POST, &path, None).await;
            }
            Way::Raw => {
                let start = StateChange::start();
                self.incus().change(&made.instance, &start).await;
            }
            Way::Incus => {
                self.incus().command(&["start", &made.instance], None).await;
            }
        }
    }

    /// Runs `true` in it.
    pub(super) async fn exec(&self, made: &Made) {
        match made.way {
            Way::Ours | Way::Raw => {
                let status = ssh::run(&self.key(), &made.username, made.address, "true").await;
                assert!(status.success(), "ssh: {status}");
            }
            Way::Incus => self.incus().exec(&made.instance).await,
        }
    }

    /// Deletes it, running or not, for good.
    pub(super) async fn delete(&self, made: &Made) {
        match made.way {
            Way::Ours => self.rest.delete(&made.username).await,
            Way::Raw => self.incus().delete(&made.instance).await,
            Way::Incus => {
                let delete = ["delete", "--force", &made.instance];
                self.incus().command(&delete, None).await;
            }
        }
    }

    /// Takes away what a run that failed may have left.
    pub(super) async fn sweep(&self, slots: u32) {
        for slot in 0..slots {
            self.rest.sweep(&self.username(slot)).await;
            if let Some(raw) = &self.raw {
                for way in [Way::Raw, Way::Incus] {
                    raw.sweep(&self.instance(way, slot)).await;
                }
            }
        }
    }

    /// One of our own programs, told of this daemon and a home of its own.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(beside(name));
        command
            .env_remove("CONTAINARIUM_JWT_TOKEN")
            .env("CONTAINARIUM_SERVER_URL", self.rest.url())
            .env(
                "CONTAINARIUM_JWT_TOKEN_FILE",
                self.home.path().join("token"),
            )
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// A program that was built beside this one.
fn beside(name: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let built = |path: &Path| path.with_file_name(name);
    let path = built(&here);
    assert!(
        path.exists(),
        "there is no {}: scripts/bench builds it",
        path.display()
    );
    path
}
