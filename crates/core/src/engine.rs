//! The engine in our words: some dozen things we ask of Incus. The only file that turns a
//! [`Record`] into an instance, and Incus's states into ours.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use containarium_contract::{ByteSize, ImageRef, State};
use containarium_incus::{
    Client, Devices, Error, EventType, Events, Instance, InstancePatch, InstancePost,
    InstanceState, PoolSpace, Resources, Server, Source, StateChange, StatusCode, StorageVolume,
};

use crate::{
    Installation, Record,
    images::alias,
    installation::UIDS,
    quota_counting::{News, QuotaCounting, Rescans, count_again_command},
    store::{instance_name, mac},
};

pub(crate) mod login_keys;
pub(crate) mod standby;
pub(crate) mod tags;

use tags::ID_TAG;

pub(crate) use tags::Tags;

/// How long Incus may take to make or start an instance.
const MAKE: Duration = Duration::from_secs(60);
/// How long Incus may take to kill or delete one.
const REMOVE: Duration = Duration::from_secs(60);
/// How long a command in an instance is waited for, ours or somebody's: it may well not end.
const COMMAND: Duration = Duration::from_secs(10);
/// Lines of a console that are shown as evidence.
const EVIDENCE: usize = 12;
/// Processes and threads one container may have, so that a fork bomb stays inside it. A quarter
/// of the smallest `kernel.pid_max` in use (32768).
const PROCESSES: &str = "8192";

/// Four ioctls (BTRFS_IOC_SUBVOL_CREATE, its V2, SNAP_CREATE, its V2) with which any user leaves
/// a btrfs size limit: a subvolume has a quota group of its own, without a limit. MASKED_EQ,
/// because the kernel ignores the upper half of the argument. Docker uses overlay2 and does not
/// need them.
const DENIED_CALLS: &str = "\
ioctl errno 1 [1,1342215182,SCMP_CMP_MASKED_EQ,4294967295]
ioctl errno 1 [1,1342215192,SCMP_CMP_MASKED_EQ,4294967295]
ioctl errno 1 [1,1342215169,SCMP_CMP_MASKED_EQ,4294967295]
ioctl errno 1 [1,1342215191,SCMP_CMP_MASKED_EQ,4294967295]";

/// The tag that says which installation an instance or project belongs to.
pub(crate) const INSTALL_TAG: &str = "user.containarium.install";

/// What the host has; containers are capped at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    pub(crate) cpus: u32,
    pub(crate) memory: u64,
    pub(crate) disk: u64,
}

/// Incus, seen from our side.
#[derive(Clone)]
pub(crate) struct Engine {
    incus: Client,
    pub(crate) installation: Installation,
    rescans: Arc<Rescans>,
}

/// An instance in a listing.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) state: State,
    /// When it was last started.
    pub(crate) started: String,
    pub(crate) tags: Tags,
}

impl Listed {
    fn of(instance: &Instance) -> Self {
        Self {
            name: instance.name.clone(),
            state: state(instance.status_code),
            started: instance.last_used_at.clone(),
            tags: Tags::of(instance),
        }
    }
}

impl Engine {
    pub(crate) fn new(incus: &Client, installation: Installation) -> Self {
        Self {
            incus: incus.in_project(&installation.name),
            installation,
            rescans: Arc::default(),
        }
    }

    /// Makes and starts the instance of `record`: two calls.
    pub(crate) async fn make(&self, record: &Record) -> Result<(), Error> {
        self.make_and_start(&instance(&self.installation, record))
            .await
    }

    async fn make_and_start(&self, post: &InstancePost) -> Result<(), Error> {
        let operation = self.incus.create_instance(post).await?;
        self.incus.wait(&operation, MAKE).await.map(drop)?;
        // With its first quota, a pool begins to count.
        self.keep_quotas();
        Ok(())
    }

    /// Starts a stopped instance.
    pub(crate) async fn start(&self, instance: &str) -> Result<(), Error> {
        self.change(instance, &StateChange::start(), MAKE).await
    }

    /// The same; that it runs already is success.
    pub(crate) async fn start_or_running(&self, instance: &str) -> Result<(), Error> {
        match self.start(instance).await {
            Err(Error::Running(_)) => Ok(()),
            other => other,
        }
    }

    /// Asks an instance to shut down, and waits until it has.
    pub(crate) async fn stop(&self, instance: &str, within: Duration) -> Result<(), Error> {
        // Incus counts down itself; the few seconds more are for its answer.
        self.change(
            instance,
            &StateChange::stop(within),
            within + Duration::from_secs(5),
        )
        .await
    }

    /// Stops an instance without asking it.
    pub(crate) async fn kill(&self, instance: &str) -> Result<(), Error> {
        match self.change(instance, &StateChange::kill(), REMOVE).await {
            Err(Error::Stopped(_)) => Ok(()),
            other => other,
        }
    }

    /// Thaws a frozen instance.
    pub(crate) async fn thaw(&self, instance: &str) -> Result<(), Error> {
        self.change(instance, &StateChange::unfreeze(), REMOVE)
            .await
    }

    async fn change(
        &self,
        instance: &str,
        change: &StateChange,
        within: Duration,
    ) -> Result<(), Error> {
        let operation = self.incus.change_state(instance, change).await?;
        self.incus.wait(&operation, within).await.map(drop)
    }

    /// Removes an instance, running or not. That there is none is success.
    pub(crate) async fn remove(&self, instance: &str) -> Result<(), Error> {
        let state = self.state(instance).await?;
        self.remove_in(instance, state).await
    }

    /// The same for whoever has just asked what it is doing.
    pub(crate) async fn remove_in(
        &self,
        instance: &str,
        state: Option<State>,
    ) -> Result<(), Error> {
        if state.is_none() {
            return Ok(());
        }
        if state != Some(State::Stopped) {
            self.kill(instance).await?;
        }
        self.keep_quotas();
        match self.incus.delete_instance(instance).await {
            Ok(operation) => self.incus.wait(&operation, REMOVE).await.map(drop),
            Err(Error::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Sees to it that a deletion does not end every container's disk quota.
    pub(crate) fn keep_quotas(&self) {
        let Some(counting) = self.counting() else {
            return;
        };
        if let Err(e) = counting.keep() {
            let command = counting.command();
            tracing::warn!(error = %e, %command, "a large deletion may end all disk quotas");
        }
    }

    /// Has btrfs count again where it has stopped, so that disk quotas hold again. Returns when that has
    /// begun; its end is told by a later call.
    pub(crate) async fn restore_quotas(&self) {
        let counting = self.counting();
        let Some(counting) = counting.filter(|counting| self.rescans.are_due(counting)) else {
            return;
        };
        let command = count_again_command(&counting.mount);
        let rescans = Arc::clone(&self.rescans);
        match tokio::task::spawn_blocking(move || rescans.see_to(&counting)).await {
            Ok(Ok(Some(News::Started))) => {
                tracing::warn!(
                    "btrfs had stopped counting: rescan started, until its end no disk quota holds"
                );
            }
            Ok(Ok(Some(News::UnderWay))) => {
                tracing::warn!(
                    "btrfs had stopped counting: a rescan is under way, until its end no disk quota holds"
                );
            }
            Ok(Ok(Some(News::Ended))) => {
                tracing::warn!("btrfs is counting again and disk quotas hold");
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "btrfs has stopped counting and no disk quota holds: run `{command}`");
            }
            // The daemon ends.
            Err(_) => {}
        }
    }

    fn counting(&self) -> Option<QuotaCounting> {
        let socket = self.incus.socket()?;
        QuotaCounting::of(socket, &self.installation.pool)
    }

    /// What an instance is doing; `None` where there is none.
    pub(crate) async fn state(&self, instance: &str) -> Result<Option<State>, Error> {
        match self.incus.instance(instance).await {
            Ok(found) => Ok(Some(state(found.value.status_code))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What an instance says of itself; `None` where there is none.
    pub(crate) async fn tags_of(&self, instance: &str) -> Result<Option<Tags>, Error> {
        match self.incus.instance(instance).await {
            Ok(found) => Ok(Some(Tags::of(&found.value))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// When Incus last started an instance.
    pub(crate) async fn last_start(&self, instance: &str) -> Option<SystemTime> {
        let found = self.incus.instance(instance).await.ok()?;
        humantime::parse_rfc3339_weak(&found.value.last_used_at).ok()
    }

    /// How large an instance's disk may become, bytes.
    pub(crate) async fn disk(&self, instance: &str) -> Result<Option<u64>, Error> {
        let devices = self.incus.instance(instance).await?.value.devices;
        let size = devices.get("root").and_then(|root| root.get("size"));
        Ok(size
            .and_then(|size| size.parse::<ByteSize>().ok())
            .map(|size| size.bytes()))
    }

    /// What an instance's disk holds beyond what it shares with its image, bytes.
    pub(crate) async fn disk_usage(&self, instance: &str) -> Result<Option<u64>, Error> {
        let state = self.incus.instance_state(instance).await?;
        Ok(state.disk.get("root").map(|disk| disk.usage))
    }

    /// Sets how large an instance's disk may become, and its [`Tags::roomy`].
    pub(crate) async fn set_disk(
        &self,
        instance: &str,
        size: u64,
        roomy: Option<u64>,
    ) -> Result<(), Error> {
        let mut devices = self.incus.instance(instance).await?.value.devices;
        devices.retain(|name, _| name == "root");
        if let Some(root) = devices.get_mut("root") {
            root.insert("size".to_owned(), size.to_string());
        }
        let roomy = roomy.map(|roomy| roomy.to_string()).unwrap_or_default();
        let patch = InstancePatch {
            config: BTreeMap::from([(tags::ROOMY.to_owned(), roomy)]),
            devices,
            ..InstancePatch::default()
        };
        self.incus.patch_instance(instance, &patch).await
    }

    /// Every instance of the project, in one call.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Error> {
        self.list_those(|instance| Some(Listed::of(&instance)))
            .await
    }

    /// What `take` makes of every instance of the project, in one call.
    pub(crate) async fn list_those<T: Send>(
        &self,
        take: impl FnMut(Instance) -> Option<T> + Send,
    ) -> Result<Vec<T>, Error> {
        self.incus.each_instance(take).await
    }

    /// The volumes of our project in the pool.
    pub(crate) async fn volumes(&self) -> Result<Vec<StorageVolume>, Error> {
        self.incus.storage_volumes(&self.installation.pool).await
    }

    /// The engine's socket, where it is one of this machine.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.incus.socket()
    }

    /// What happens to instances, from now on.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        self.incus.events(&[EventType::Lifecycle]).await
    }

    /// Waits for what Incus is still doing to an instance, whoever asked for it.
    pub(crate) async fn settle(&self, instance: &str) -> Result<(), Error> {
        for operation in self.incus.operations().await? {
            if !operation.instances().any(|name| name == instance) || operation.is_session() {
                continue;
            }
            let command = operation.is_command();
            let patience = if command { COMMAND } else { MAKE };
            // How it ended is seen by looking at the instance.
            match self.incus.wait(&operation, patience).await {
                Err(Error::Timeout { .. }) if command => {}
                Err(away) if crate::operations::away(&away) => return Err(away),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Sets tags of an instance; an empty value removes one.
    pub(crate) async fn tag(&self, instance: &str, tags: &[(&str, String)]) -> Result<(), Error> {
        let set = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let patch = InstancePatch {
            config: set.collect(),
            ..InstancePatch::default()
        };
        match self.incus.patch_instance(instance, &patch).await {
            // Said of an instance whose disk is full, although it is stored.
            Err(Error::NoSpace(full)) => {
                let now = self.incus.instance(instance).await?.value.config;
                let is = |(key, value): &(&str, String)| {
                    now.get(*key).map_or("", String::as_str) == value.as_str()
                };
                if tags.iter().all(is) {
                    Ok(())
                } else {
                    Err(Error::NoSpace(full))
                }
            }
            other => other,
        }
    }

    /// What an instance is doing and using, in one call; `None` where there is none.
    pub(crate) async fn usage(
        &self,
        instance: &str,
    ) -> Result<Option<(State, InstanceState)>, Error> {
        match self.incus.instance_state(instance).await {
            Ok(found) => Ok(Some((state(found.status_code), found))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What every instance is using, in one call.
    pub(crate) async fn usages(&self) -> Result<HashMap<String, InstanceState>, Error> {
        let all = self.incus.instances_full().await?;
        Ok(all
            .into_iter()
            .filter_map(|i| Some((i.name, i.state?)))
            .collect())
    }

    /// The last lines of an instance's console: what a container that died said.
    pub(crate) async fn evidence(&self, instance: &str) -> String {
        let log = self.incus.console_log(instance).await.unwrap_or_default();
        let lines: Vec<&str> = log
            .lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
            .collect();
        let last = lines
            .get(lines.len().saturating_sub(EVIDENCE)..)
            .unwrap_or_default();
        last.join("\n")
            .chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .collect()
    }

    /// The fingerprint of the image that containers of `image` are made from, if it is prepared.
    pub(crate) async fn prepared(
        &self,
        image: &ImageRef,
        docker: bool,
    ) -> Result<Option<String>, Error> {
        match self.incus.image_alias(&alias(image, docker)).await {
            Ok(alias) => Ok(Some(alias.target)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Removes an image. That there is none is success.
    pub(crate) async fn remove_image(&self, fingerprint: &str) -> Result<(), Error> {
        match self.incus.delete_image(fingerprint).await {
            Ok(operation) => self.incus.wait(&operation, REMOVE).await.map(drop),
            Err(Error::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// What the host has: two calls.
    pub(crate) async fn host(&self) -> Result<Host, Error> {
        let (resources, space) = tokio::try_join!(self.resources(), self.space())?;
        Ok(Host {
            cpus: u32::try_from(resources.cpu.total).unwrap_or(u32::MAX),
            memory: resources.memory.total,
            disk: space.total,
        })
    }

    /// Incus itself.
    pub(crate) async fn server(&self) -> Result<Server, Error> {
        self.incus.server().await
    }

    /// The host's processors and memory.
    pub(crate) async fn resources(&self) -> Result<Resources, Error> {
        self.incus.resources().await
    }

    /// The containers' storage.
    pub(crate) async fn space(&self) -> Result<PoolSpace, Error> {
        self.incus
            .storage_pool_resources(&self.installation.pool)
            .await
    }
}

/// What a status of Incus is in our words.
pub(crate) fn state(status: StatusCode) -> State {
    match status {
        StatusCode::STOPPED => State::Stopped,
        StatusCode::RUNNING | StatusCode::READY => State::Running,
        StatusCode::FROZEN => State::Frozen,
        StatusCode(106) => State::Starting,
        StatusCode(107) => State::Stopping,
        StatusCode(_) => State::Error,
    }
}

/// What an instance is from its first moment on, whoever gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) id: &'a str,
    pub(crate) image: &'a ImageRef,
    pub(crate) docker: bool,
    pub(crate) address: Ipv4Addr,
    pub(crate) uid_base: u32,
}

impl Body<'_> {
    pub(crate) fn of(record: &Record) -> Body<'_> {
        Body {
            id: &record.id,
            image: &record.spec.image,
            docker: record.spec.docker,
            address: record.address,
            uid_base: record.uid_base,
        }
    }
}

/// The one creating request: everything a container is, so that nothing is done to it afterwards.
pub(crate) fn instance(installation: &Installation, record: &Record) -> InstancePost {
    let mut post = body(installation, &Body::of(record));
    post.config.extend(personal(record));
    post.devices.insert(
        "root".to_owned(),
        root(installation, record.spec.resources.disk.bytes()),
    );
    post.description = record.username.container_name();
    post
}

/// The part of the request that is not its user's.
fn body(installation: &Installation, body: &Body<'_>) -> InstancePost {
    let config = [
        ("limits.processes", PROCESSES.into()),
        ("security.guestapi", "false".into()),
        ("security.idmap.base", body.uid_base.to_string()),
        ("security.idmap.isolated", "true".into()),
        ("security.idmap.size", UIDS.to_string()),
        ("security.nesting", body.docker.to_string()),
        ("security.privileged", "false".into()),
        ("security.syscalls.deny", DENIED_CALLS.into()),
        (INSTALL_TAG, installation.id.clone()),
        (ID_TAG, body.id.to_owned()),
        (tags::IMAGE, body.image.to_string()),
        // What the image's templates write into the container before it boots.
        (tags::DOCKER, body.docker.to_string()),
        (
            "user.containarium.address",
            format!("{}/{}", body.address, installation.prefix),
        ),
        (
            "user.containarium.gateway",
            installation.gateway.to_string(),
        ),
        ("user.containarium.dns", installation.gateway.to_string()),
    ];
    let address = body.address.to_string();
    let nic = device(&[
        ("type", "nic"),
        ("name", "eth0"),
        ("network", &installation.name),
        ("hwaddr", &mac(body.address)),
        ("ipv4.address", &address),
        // Neighbours cannot reach each other, nor speak in each other's name.
        ("security.ipv4_filtering", "true"),
        ("security.mac_filtering", "true"),
        ("security.port_isolation", "true"),
    ]);
    InstancePost {
        start: true,
        config: config.map(|(key, value)| (key.to_owned(), value)).into(),
        devices: Devices::from([("eth0".to_owned(), nic)]),
        ..InstancePost::new(
            instance_name(body.id),
            Source::alias(alias(body.image, body.docker)),
        )
    }
}

/// What is its user's: limits, and who that is.
fn personal(record: &Record) -> BTreeMap<String, String> {
    let spec = &record.spec;
    let mut config = BTreeMap::from(
        [
            ("limits.cpu", spec.resources.cpu.to_string()),
            ("limits.memory", spec.resources.memory.bytes().to_string()),
            (tags::PHASE, tags::CREATING.to_owned()),
            // As they were given, for a store that was lost.
            ("user.containarium.cpu", spec.resources.cpu.to_string()),
            (
                "user.containarium.memory",
                spec.resources.memory.to_string(),
            ),
            ("user.containarium.disk", spec.resources.disk.to_string()),
            ("user.containarium.owner", record.owner.to_string()),
            ("user.containarium.created", record.created_at.to_string()),
            // What the image's templates write into the container before it boots.
            ("user.containarium.username", record.username.to_string()),
            (
                "user.containarium.hostname",
                record.username.container_name(),
            ),
            (login_keys::TAG, login_keys::lines(&spec.ssh_keys)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    for (key, value) in &spec.labels {
        config.insert(format!("user.containarium.label.{key}"), value.to_string());
    }
    config
}

fn root(installation: &Installation, size: u64) -> BTreeMap<String, String> {
    device(&[
        ("type", "disk"),
        ("path", "/"),
        ("pool", &installation.pool),
        ("size", &size.to_string()),
    ])
}

fn device(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_calls_are_the_four_that_make_btrfs_subvolumes() {
        // _IOW(0x94, nr, struct btrfs_ioctl_vol_args{,_v2}), both 4096 bytes long.
        let ioctl = |nr: u32| (1 << 30) | (4096 << 16) | (0x94 << 8) | nr;
        for nr in [1, 14, 23, 24] {
            assert!(DENIED_CALLS.contains(&format!("[1,{},", ioctl(nr))), "{nr}");
        }
    }
}
