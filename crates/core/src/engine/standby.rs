//! Standbys: booted containers that wait for their user, frozen. What makes one somebody's is one
//! change of its configuration and one command inside.

use std::{collections::BTreeMap, time::Duration};

use containarium_incus::{Error, Exec, InstancePatch, StateChange};

use super::{Body, Engine, MAKE, body, login_keys, personal, root, tags};
use crate::{Record, clock, create::LEAST_DISK};

/// Whether Incus starts it with itself; unset, where it ran before.
const AUTOSTART: &str = "boot.autostart";
/// What runs inside to take its user in.
const CLAIM: &str = "/usr/lib/containarium/claim";
/// How long that may take: some files are written.
const CLAIMING: Duration = Duration::from_secs(10);
/// How long all units may take to start.
const BOOT: Duration = Duration::from_secs(60);
/// What one may use until somebody has it.
const CPUS: &str = "1";
const MEMORY: u64 = 512 << 20;
/// The smallest that a container's disk may be, so that it only grows when somebody gets it: lvm does not
/// shrink a file system that is in use.
const DISK: u64 = LEAST_DISK;

impl Engine {
    /// Makes and starts one.
    pub(crate) async fn make_standby(&self, made: &Body<'_>) -> Result<(), Error> {
        let mut post = body(&self.installation, made);
        let config = [
            ("limits.cpu", CPUS.to_owned()),
            ("limits.memory", MEMORY.to_string()),
            (tags::PHASE, tags::STANDBY.to_owned()),
            // Else a start of the host boots all that nobody has yet.
            (AUTOSTART, "false".to_owned()),
            ("user.containarium.created", clock::now().to_string()),
        ];
        post.config
            .extend(config.map(|(key, value)| (key.to_owned(), value)));
        let root = root(&self.installation, DISK);
        post.devices.insert("root".to_owned(), root);
        self.make_and_start(&post).await
    }

    /// Waits until all its units have started, so that none does when it is thawed. That one failed is
    /// the image's affair.
    pub(crate) async fn booted(&self, instance: &str) -> Result<(), Error> {
        let wait = Exec::new(["systemctl", "is-system-running", "--wait"]);
        self.incus.exec(instance, &wait, BOOT).await.map(drop)
    }

    /// Freezes an instance that runs.
    pub(crate) async fn freeze(&self, instance: &str) -> Result<(), Error> {
        self.change(instance, &StateChange::freeze(), MAKE).await
    }

    /// Gives it its user's limits, disk and tags. What Incus cannot bring about, it refuses.
    pub(crate) async fn become_of(&self, record: &Record) -> Result<(), Error> {
        let root = root(&self.installation, record.spec.resources.disk.bytes());
        let mut config = personal(record);
        // As one that was made for its user, which has no such setting.
        config.insert(AUTOSTART.to_owned(), String::new());
        let patch = InstancePatch {
            config,
            devices: BTreeMap::from([("root".to_owned(), root)]),
            description: Some(record.username.container_name()),
            if_match: None,
        };
        self.incus.patch_instance(&record.instance(), &patch).await
    }

    /// Takes its user in; may be done again. False where it has somebody else's already.
    pub(crate) async fn let_in(&self, record: &Record) -> Result<bool, Error> {
        let claim = Exec {
            environment: BTreeMap::from([
                ("CLAIM_USERNAME".to_owned(), record.username.to_string()),
                (
                    "CLAIM_HOSTNAME".to_owned(),
                    record.username.container_name(),
                ),
                (
                    "CLAIM_SSH_KEYS".to_owned(),
                    login_keys::lines(&record.spec.ssh_keys),
                ),
            ]),
            ..Exec::new([CLAIM])
        };
        let code = self
            .incus
            .exec(&record.instance(), &claim, CLAIMING)
            .await?;
        Ok(code == 0)
    }
}
