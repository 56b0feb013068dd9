//! The same cases on the sim and on a real incusd, so that the sim stays honest.
//!
//! On a real one where `CONTAINARIUM_TEST_INCUS_SOCKET` names its socket, with
//! `CONTAINARIUM_TEST_INCUS_POOL` (else the first pool), `CONTAINARIUM_TEST_INCUS_NETWORK` (a bridge with
//! an IPv4 subnet) and `CONTAINARIUM_TEST_INCUS_IMAGE` (an alias in the default project, of any container
//! image with an init): `scripts/with-engine` sets them, and nextest's profile `live` runs this beside
//! it. Without them on the sim, as a unit test. What only a sim can do is in `faults.rs`.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use containarium_incus::{
    Client, Devices, Error, ImagePull, InstancePatch, InstancePost, NetworkPost, Operation,
    ProjectPost, ProjectPut, Source, StateChange, StoragePoolPost,
};
use containarium_incus_sim::{Left, Sim};
use containarium_testkit::{Engine, ImageServer, ServedImage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

mod crash;
mod events;
mod files;
mod snapshots;
mod traps;

const LONG: Duration = Duration::from_secs(60);

/// An Incus to try, in a project of its own.
#[derive(Clone)]
struct Bed {
    root: Client,
    incus: Client,
    socket: PathBuf,
    pool: String,
    network: String,
    image: String,
    /// An image server that has `tiny`.
    server: String,
    /// The first three bytes of addresses that are free; each case has last bytes of its own,
    /// and names too, because Incus wants them unique on a network, across projects.
    subnet: String,
    host: Host,
}

/// What only somebody on Incus's host can do.
#[derive(Clone)]
enum Host {
    Sim(Arc<Sim>),
    Real(Engine),
}

impl Host {
    /// As SIGKILL does; `left` is what a real one leaves as the moment will have it.
    async fn kill(&self, left: Left) {
        match self {
            Host::Sim(sim) => sim.crash_leaving(left).await,
            Host::Real(engine) => engine.kill(),
        }
    }

    fn start(&self) {
        match self {
            Host::Sim(sim) => sim.restart().unwrap(),
            Host::Real(engine) => engine.start(),
        }
    }

    /// Takes away the volume of a snapshot that Incus has lost.
    fn unwedge(&self, bed: &Bed, name: &str, snapshot: &str) {
        let project = bed.incus.project_name().unwrap();
        match self {
            Host::Sim(sim) => sim.unwedge(project, name),
            Host::Real(engine) => {
                let all = engine.pool(&bed.pool).join("containers-snapshots");
                let of = all.join(format!("{project}_{name}"));
                let mut btrfs = std::process::Command::new("btrfs");
                btrfs.args(["subvolume", "delete"]).arg(of.join(snapshot));
                let done = btrfs.output().unwrap();
                assert!(done.status.success(), "{done:?}");
                std::fs::remove_dir(of).unwrap();
            }
        }
    }
}

impl Bed {
    async fn done(&self, begun: Result<Operation, Error>) -> Result<Operation, Error> {
        self.incus.wait(&begun?, LONG).await
    }

    async fn create(&self, post: &InstancePost) -> Result<Operation, Error> {
        self.done(self.incus.create_instance(post).await).await
    }

    async fn change(&self, name: &str, change: StateChange) -> Result<Operation, Error> {
        self.done(self.incus.change_state(name, &change).await)
            .await
    }

    /// A container with a root disk and a NIC whose address ends in `host`.
    fn post(&self, name: &str, host: u8) -> InstancePost {
        let address = format!("{}.{host}", self.subnet);
        let root = [
            ("type", "disk"),
            ("path", "/"),
            ("pool", &self.pool),
            ("size", "1GiB"),
        ];
        let nic = [
            ("type", "nic"),
            ("name", "eth0"),
            ("network", &self.network),
            ("ipv4.address", &address),
        ];
        InstancePost {
            config: config([("limits.memory", "128MiB"), ("user.note", "1")]),
            devices: Devices::from([
                ("root".to_owned(), config(root)),
                ("eth0".to_owned(), config(nic)),
            ]),
            ..InstancePost::new(name, Source::alias(&self.image))
        }
    }

    fn started(&self, name: &str, host: u8) -> InstancePost {
        InstancePost {
            start: true,
            ..self.post(name, host)
        }
    }
}

fn config<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

async fn on_the_sim<F: Future<Output = ()>>(case: impl FnOnce(Bed) -> F) {
    let dir = tempfile::tempdir().unwrap();
    // Held here too: a case keeps only what it names.
    let sim = Arc::new(Sim::start(dir.path()).unwrap());
    sim.add_image("base", &[("os", "sim")]);
    // So that there is a while in which something is under way.
    sim.set_latency(Duration::from_millis(5));
    let server = "https://127.0.0.1:443".to_owned();
    sim.serve_image(&server, "tiny");
    let root = Client::unix(sim.socket());
    let pool = StoragePoolPost {
        name: "p".into(),
        driver: "btrfs".into(),
        ..Default::default()
    };
    root.create_storage_pool(&pool).await.unwrap();
    let gateway = sim.gateway().to_string();
    let network = NetworkPost {
        name: "n".to_owned(),
        kind: "bridge".to_owned(),
        config: config([("ipv4.address", &format!("{gateway}/16"))]),
        ..NetworkPost::default()
    };
    root.create_network(&network).await.unwrap();
    let bed = Bed {
        incus: project(&root).await,
        socket: sim.socket().to_owned(),
        root,
        pool: "p".to_owned(),
        network: "n".to_owned(),
        image: "base".to_owned(),
        server,
        subnet: gateway.trim_end_matches(".1").to_owned(),
        host: Host::Sim(sim.clone()),
    };
    case(bed).await;
}

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("CONTAINARIUM_TEST_INCUS_{name}")).ok()
}

async fn on_incusd<F: Future<Output = ()> + Send + 'static>(
    socket: String,
    case: impl FnOnce(Bed) -> F,
) {
    let network = variable("NETWORK").unwrap();
    let image = variable("IMAGE").unwrap();
    let root = Client::unix(&socket);
    let pool = match variable("POOL") {
        Some(pool) => pool,
        None => root.storage_pools().await.unwrap().remove(0).name,
    };
    let known = root.network(&network).await.unwrap();
    let gateway = known.config.get("ipv4.address").unwrap();
    // Far from what a daemon of an earlier test has given to containers that are still there.
    let octets: Vec<&str> = gateway.split('.').collect();
    let base = format!("{}.{}.127", octets.first().unwrap(), octets.get(1).unwrap());
    let incus = project(&root).await;
    let server = ImageServer::of(&[ServedImage::of_files("tiny", &[("etc/x", "x")])]).await;
    let bed = Bed {
        incus: incus.clone(),
        socket: socket.into(),
        root: root.clone(),
        pool,
        network,
        image,
        server: server.url.clone(),
        subnet: base,
        host: Host::Real(Engine::given().expect("with an INCUS_DIR")),
    };
    let host = bed.host.clone();
    let outcome = tokio::spawn(case(bed)).await;
    // A case that killed it may have failed before it started it again.
    host.start();
    let name = incus.project_name().unwrap();
    let removed = root.delete_project(name, true).await;
    outcome.unwrap();
    removed.unwrap();
}

async fn project(root: &Client) -> Client {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("conformance-{}-{number}", std::process::id());
    let features = ["images", "profiles", "networks", "storage.volumes"];
    let features = features.map(|feature| (format!("features.{feature}"), "false".to_owned()));
    let post = ProjectPost {
        name,
        config: features.into(),
        ..ProjectPost::default()
    };
    root.create_project(&post).await.unwrap();
    root.in_project(&post.name)
}

/// Runs a case on the real incusd where there is one, else on the sim.
async fn everywhere<F: Future<Output = ()> + Send + 'static>(case: impl Fn(Bed) -> F) {
    match variable("SOCKET") {
        Some(socket) => on_incusd(socket, case).await,
        None => {
            let on_sim = std::env::var("CI").as_deref() != Ok("true");
            assert!(on_sim, "an incusd must be given under CI");
            on_the_sim(case).await;
        }
    }
}

#[tokio::test]
async fn the_server_is_trusted_and_has_resources() {
    everywhere(|bed| async move {
        let server = bed.incus.server().await.unwrap();
        assert!(server.is_trusted());
        assert_eq!(server.environment.server, "incus");
        assert!(
            server
                .environment
                .storage_supported_drivers
                .iter()
                .any(|d| d.name == "btrfs")
        );
        let resources = bed.incus.resources().await.unwrap();
        assert!(resources.cpu.total > 0 && resources.memory.total > resources.memory.used);
        let space = bed.incus.storage_pool_resources(&bed.pool).await.unwrap();
        assert!(space.total > space.used);
        assert!(bed.incus.storage_pool(&bed.pool).await.unwrap().driver == "btrfs");
        let image = bed.incus.image_alias(&bed.image).await.unwrap();
        let images = bed.incus.images().await.unwrap();
        let image = images
            .iter()
            .find(|other| other.fingerprint == image.target)
            .unwrap();
        assert!(image.aliases.iter().any(|alias| alias.name == bed.image));
    })
    .await;
}

#[tokio::test]
async fn a_project_is_changed_only_by_who_has_seen_it() {
    everywhere(|bed| async move {
        let name = bed.incus.project_name().unwrap();
        let seen = bed.root.project(name).await.unwrap();
        let mut put = ProjectPut {
            description: "mine".to_owned(),
            config: seen.value.config,
            if_match: Some(seen.etag),
        };
        put.config.insert("user.note".to_owned(), "1".to_owned());
        bed.root.update_project(name, &put).await.unwrap();
        let stale = bed.root.update_project(name, &put).await.unwrap_err();
        assert!(matches!(stale, Error::Precondition(_)), "{stale:?}");
        let now = bed.root.project(name).await.unwrap().value;
        assert_eq!(
            (now.description.as_str(), now.config["user.note"].as_str()),
            ("mine", "1")
        );
        let again = ProjectPost {
            name: name.to_owned(),
            ..ProjectPost::default()
        };
        let taken = bed.root.create_project(&again).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        bed.create(&bed.post("a10", 10)).await.unwrap();
        let full = bed.root.delete_project(name, false).await.unwrap_err();
        assert!(matches!(full, Error::InUse(_)), "{full:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    everywhere(|bed| async move {
        let incus = &bed.incus;
        let kill = StateChange::kill();
        let errors = [
            incus.instance("none").await.unwrap_err(),
            incus.instance_state("none").await.unwrap_err(),
            incus.console_log("none").await.unwrap_err(),
            incus.change_state("none", &kill).await.unwrap_err(),
            incus.delete_instance("none").await.unwrap_err(),
            incus
                .patch_instance("none", &InstancePatch::default())
                .await
                .unwrap_err(),
            incus
                .operation("6a1e4b1a-0000-4000-8000-000000000000")
                .await
                .unwrap_err(),
            incus.image_alias("none").await.unwrap_err(),
            incus.storage_pool("none").await.unwrap_err(),
            incus.storage_pool_resources("none").await.unwrap_err(),
            incus.network("none").await.unwrap_err(),
            bed.root.project("none").await.unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_not_found(), "{error:?}");
        }
        let nowhere = bed.root.in_project("none");
        assert!(nowhere.instances().await.unwrap().is_empty());
        let nowhere = nowhere
            .create_instance(&bed.post("a10", 10))
            .await
            .unwrap_err();
        assert!(nowhere.is_not_found(), "{nowhere:?}");
    })
    .await;
}

#[tokio::test]
async fn an_instance_is_made_started_stopped_and_deleted() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a11", 11)).await.unwrap();
        let made = bed.incus.instance("a11").await.unwrap().value;
        assert!(made.status_code.is_stopped() && made.profiles.is_empty());
        assert_eq!(made.config["user.note"], "1");
        assert_eq!(made.devices["root"]["size"], "1GiB");
        assert_eq!(bed.incus.console_log("a11").await.unwrap(), "");
        let state = bed.incus.instance_state("a11").await.unwrap();
        assert_eq!((state.pid, state.memory.total), (0, 0));
        assert!(state.network.is_empty());
        bed.change("a11", StateChange::start()).await.unwrap();
        let running = bed.incus.instances_full().await.unwrap().remove(0);
        assert!(running.status_code.is_running());
        let state = running.state.unwrap();
        assert!(state.pid > 0 && state.processes > 0 && state.memory.usage > 0);
        assert_eq!(state.memory.total, 128 << 20);
        assert_eq!(state.disk["root"].total, 1 << 30);
        assert!(state.network.contains_key("eth0"));
        let listed = bed.incus.instances().await.unwrap().remove(0);
        assert!(listed.name == "a11" && listed.state.is_none());
        let refused = bed
            .done(bed.incus.delete_instance("a11").await)
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::Running(_)), "{refused:?}");
        bed.change("a11", StateChange::kill()).await.unwrap();
        let stopped = bed.incus.instance("a11").await.unwrap().value;
        assert!(stopped.status_code.is_stopped());
        bed.done(bed.incus.delete_instance("a11").await)
            .await
            .unwrap();
        assert!(bed.incus.instances().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_create_can_start_too() {
    everywhere(|bed| async move {
        let begun = bed
            .incus
            .create_instance(&bed.started("a12", 12))
            .await
            .unwrap();
        assert!(!begun.status_code.is_final());
        assert!(begun.resources["instances"][0].starts_with("/1.0/instances/a12"));
        let ended = bed.incus.wait(&begun, LONG).await.unwrap();
        assert!(ended.id == begun.id && ended.status_code.is_success());
        assert!(
            bed.incus
                .instance("a12")
                .await
                .unwrap()
                .value
                .status_code
                .is_running()
        );
    })
    .await;
}

#[tokio::test]
async fn a_create_that_cannot_be_is_told_late() {
    everywhere(|bed| async move {
        let fails = async |change: &(dyn Fn(&mut InstancePost) + Sync)| {
            let mut post = bed.started("a13", 13);
            change(&mut post);
            let begun = bed.incus.create_instance(&post).await.unwrap();
            bed.incus.wait(&begun, LONG).await.unwrap_err()
        };
        let error = fails(&|post| post.source = Source::alias("none")).await;
        assert!(matches!(error, Error::ImageNotProvided(_)), "{error:?}");
        let error = fails(&|post| post.source = Source::fingerprint("00000000")).await;
        assert!(matches!(error, Error::ImageNotProvided(_)), "{error:?}");
        let set = |device: &'static str, key: &'static str, value: &'static str| {
            move |post: &mut InstancePost| {
                post.devices
                    .get_mut(device)
                    .unwrap()
                    .insert(key.to_owned(), value.to_owned());
            }
        };
        let error = fails(&set("root", "pool", "none")).await;
        assert!(error.is_not_found(), "{error:?}");
        let error = fails(&set("eth0", "network", "none")).await;
        assert!(error.is_not_found(), "{error:?}");
        let error = fails(&set("eth0", "ipv4.address", "192.0.2.7")).await;
        assert!(matches!(error, Error::OperationFailed(_)), "{error:?}");
        let error = fails(&|post| post.config = config([("limits.memory", "plenty")])).await;
        assert!(matches!(error, Error::OperationFailed(_)), "{error:?}");
        assert!(bed.incus.instances().await.unwrap().is_empty());

        let underscore = InstancePost {
            name: "a_1".to_owned(),
            ..bed.post("", 13)
        };
        let at_once = bed.incus.create_instance(&underscore).await.unwrap_err();
        assert!(
            matches!(at_once, Error::Refused { code: 400, .. }),
            "{at_once:?}"
        );
        let copy = InstancePost {
            source: Source::copy("none"),
            ..bed.post("a13", 13)
        };
        let at_once = bed.incus.create_instance(&copy).await.unwrap_err();
        assert!(at_once.is_not_found(), "{at_once:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_so_already_is_told_late() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a14", 14)).await.unwrap();
        let begun = bed
            .incus
            .create_instance(&bed.started("a14", 15))
            .await
            .unwrap();
        let taken = bed.incus.wait(&begun, LONG).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        let late = async |change| {
            let begun = bed.incus.change_state("a14", &change).await.unwrap();
            bed.incus.wait(&begun, LONG).await.unwrap_err()
        };
        for change in [StateChange::start(), StateChange::unfreeze()] {
            let error = late(change).await;
            assert!(matches!(error, Error::Running(_)), "{change:?}: {error:?}");
        }
        bed.change("a14", StateChange::kill()).await.unwrap();
        let second = Duration::from_secs(1);
        let changes = [
            StateChange::kill(),
            StateChange::stop(second),
            StateChange::restart(second),
            StateChange::freeze(),
            StateChange::unfreeze(),
        ];
        for change in changes {
            let error = late(change).await;
            assert!(matches!(error, Error::Stopped(_)), "{change:?}: {error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_patch_merges_and_wants_the_right_tag() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a16", 16)).await.unwrap();
        let seen = bed.incus.instance("a16").await.unwrap();
        let patch = InstancePatch {
            config: config([("user.note", ""), ("user.more", "2")]),
            if_match: Some(seen.etag),
            ..InstancePatch::default()
        };
        bed.incus.patch_instance("a16", &patch).await.unwrap();
        let stale = bed.incus.patch_instance("a16", &patch).await.unwrap_err();
        assert!(matches!(stale, Error::Precondition(_)), "{stale:?}");
        let now = bed.incus.instance("a16").await.unwrap();
        assert!(!now.value.config.contains_key("user.note"));
        assert_eq!(now.value.config["user.more"], "2");
        assert_eq!(now.value.config["limits.memory"], "128MiB");
        // The state is no part of what the tag covers.
        bed.change("a16", StateChange::freeze()).await.unwrap();
        assert_eq!(bed.incus.instance("a16").await.unwrap().etag, now.etag);
        bed.change("a16", StateChange::unfreeze()).await.unwrap();

        let mut devices = InstancePatch::default();
        devices
            .devices
            .insert("root".to_owned(), config([("size", "2GiB")]));
        let refused = bed.incus.patch_instance("a16", &devices).await.unwrap_err();
        assert!(
            matches!(refused, Error::Refused { code: 500, .. }),
            "{refused:?}"
        );
        let mut root = now.value.devices["root"].clone();
        root.insert("size".to_owned(), "2GiB".to_owned());
        devices.devices.insert("root".to_owned(), root);
        devices.description = Some("larger".to_owned());
        bed.incus.patch_instance("a16", &devices).await.unwrap();
        let now = bed.incus.instance("a16").await.unwrap().value;
        assert_eq!((now.description.as_str(), now.devices.len()), ("larger", 2));
        assert_eq!(now.devices["root"]["size"], "2GiB");
    })
    .await;
}

#[tokio::test]
async fn a_frozen_instance_is_neither_started_nor_deleted() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a17", 17)).await.unwrap();
        bed.change("a17", StateChange::freeze()).await.unwrap();
        assert!(
            bed.incus
                .instance("a17")
                .await
                .unwrap()
                .value
                .status_code
                .is_frozen()
        );
        let again = bed.change("a17", StateChange::freeze()).await.unwrap_err();
        assert!(matches!(again, Error::Frozen(_)), "{again:?}");
        let started = bed.change("a17", StateChange::start()).await.unwrap_err();
        assert!(matches!(started, Error::Running(_)), "{started:?}");
        let deleted = bed
            .done(bed.incus.delete_instance("a17").await)
            .await
            .unwrap_err();
        assert!(matches!(deleted, Error::Running(_)), "{deleted:?}");
        bed.change("a17", StateChange::kill()).await.unwrap();
        assert!(
            bed.incus
                .instance("a17")
                .await
                .unwrap()
                .value
                .status_code
                .is_stopped()
        );
    })
    .await;
}

#[tokio::test]
async fn two_instances_with_one_address_do_not_both_run() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a18", 18)).await.unwrap();
        let refused = bed.create(&bed.started("b18", 18)).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused:?}");
        // It was made, and only its start failed.
        assert!(
            bed.incus
                .instance("b18")
                .await
                .unwrap()
                .value
                .status_code
                .is_stopped()
        );
        bed.change("a18", StateChange::kill()).await.unwrap();
        let refused = bed.change("a18", StateChange::start()).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused:?}");
        bed.done(bed.incus.delete_instance("b18").await)
            .await
            .unwrap();
        bed.change("a18", StateChange::start()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_copy_brings_its_configuration() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a19", 19)).await.unwrap();
        let mut copy = bed.started("b19", 20);
        copy.source = Source::copy("a19");
        copy.config = config([("user.more", "2")]);
        copy.devices.remove("root");
        bed.create(&copy).await.unwrap();
        let copy = bed.incus.instance("b19").await.unwrap().value;
        assert!(copy.status_code.is_running());
        assert_eq!(
            (
                copy.config["user.note"].as_str(),
                copy.config["user.more"].as_str()
            ),
            ("1", "2")
        );
        assert_eq!(copy.devices["root"]["size"], "1GiB");
        assert_eq!(
            copy.devices["eth0"]["ipv4.address"],
            format!("{}.20", bed.subnet)
        );
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_up() {
    everywhere(|bed| async move {
        let begun = bed
            .incus
            .create_instance(&bed.started("a21", 21))
            .await
            .unwrap();
        let short = bed.incus.wait(&begun, Duration::ZERO).await.unwrap_err();
        assert!(matches!(short, Error::Timeout { .. }), "{short:?}");
        let both = tokio::join!(bed.incus.wait(&begun, LONG), bed.incus.wait(&begun, LONG));
        assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
        // Ended, and still on record.
        bed.incus.wait(&begun, LONG).await.unwrap();
        assert!(
            bed.incus
                .operation(&begun.id)
                .await
                .unwrap()
                .status_code
                .is_success()
        );
    })
    .await;
}

#[tokio::test]
async fn a_record_vanishes_after_its_end() {
    everywhere(|bed| async move {
        let begun = bed
            .incus
            .create_instance(&bed.post("a22", 22))
            .await
            .unwrap();
        bed.incus.wait(&begun, LONG).await.unwrap();
        let ended = std::time::Instant::now();
        loop {
            match bed.incus.operation(&begun.id).await {
                Err(error) if error.is_not_found() => break,
                last => assert!(ended.elapsed() < LONG, "last seen: {last:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            ended.elapsed() > Duration::from_secs(4),
            "{:?}",
            ended.elapsed()
        );
        let vanished = bed.incus.wait(&begun, LONG).await.unwrap_err();
        assert!(
            matches!(vanished, Error::OperationVanished(_)),
            "{vanished:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_project_sees_only_its_own() {
    everywhere(|bed| async move {
        let other = project(&bed.root).await;
        bed.create(&bed.post("a23", 23)).await.unwrap();
        assert!(other.instances().await.unwrap().is_empty());
        assert!(other.instance("a23").await.unwrap_err().is_not_found());
        let begun = other.create_instance(&bed.post("a23", 24)).await.unwrap();
        other.wait(&begun, LONG).await.unwrap();
        assert_eq!(bed.incus.instances().await.unwrap().len(), 1);
        let other = other.project_name().unwrap().to_owned();
        bed.root.delete_project(&other, true).await.unwrap();
        assert_eq!(bed.incus.instances().await.unwrap().len(), 1);
    })
    .await;
}

/// A request as it goes over the socket; the status line and the body of its answer.
async fn raw(bed: &Bed, line: &str) -> (String, serde_json::Value) {
    let mut stream = UnixStream::connect(&bed.socket).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: incus\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    // In one piece or in chunks, the JSON is between the first brace and the last.
    let body = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    let status = head.lines().next().unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_wait_tells_a_failure_as_http_200() {
    everywhere(|bed| async move {
        let mut post = bed.post("a25", 25);
        post.source = Source::alias("none");
        let begun = bed.incus.create_instance(&post).await.unwrap();
        let project = bed.incus.project_name().unwrap().to_owned();
        let id = &begun.id;
        let line = format!("GET /1.0/operations/{id}/wait?timeout=30&project={project}");
        let (status, failed) = raw(&bed, &line).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(
            (&failed["type"], &failed["error_code"]),
            (&"error".into(), &500.into())
        );
        assert!(
            failed["error"]
                .as_str()
                .unwrap()
                .contains("Image not provided"),
            "{failed}"
        );
        // One whose time is up reads the same, and the operation goes on.
        let begun = bed
            .incus
            .create_instance(&bed.started("b25", 26))
            .await
            .unwrap();
        let id = &begun.id;
        let line = format!("GET /1.0/operations/{id}/wait?timeout=0&project={project}");
        let (status, up) = raw(&bed, &line).await;
        if up["type"] == "error" {
            assert_eq!(status, "HTTP/1.1 200 OK");
            assert_eq!(up["error_code"], 500, "{up}");
            let text = up["error"].as_str().unwrap();
            assert!(text.contains("context deadline exceeded"), "{up}");
        } else {
            // It was faster than the wait.
            assert_eq!(up["metadata"]["status_code"], 200, "{up}");
        }
        bed.incus.wait(&begun, LONG).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_image_is_fetched_named_renamed_and_removed() {
    everywhere(|bed| async move {
        let incus = &bed.incus;
        let pull = ImagePull {
            server: bed.server.clone(),
            alias: "tiny".into(),
        };
        let fetched = bed.done(incus.pull_image(&pull).await).await.unwrap();
        let fingerprint = fetched.fingerprint().unwrap().to_owned();
        let there = async || {
            let all = incus.images().await.unwrap();
            all.into_iter()
                .find(|image| image.fingerprint == fingerprint)
        };
        let image = there().await.unwrap();
        assert_eq!((image.kind.as_str(), image.cached), ("container", false));
        assert!(image.aliases.is_empty(), "{image:?}");
        // Fetched again it is the same one.
        let again = bed.done(incus.pull_image(&pull).await).await.unwrap();
        assert_eq!(again.fingerprint(), Some(fingerprint.as_str()));

        let name = format!("conformance-{}/a", std::process::id());
        incus.put_image_alias(&name, &fingerprint).await.unwrap();
        incus.put_image_alias(&name, &fingerprint).await.unwrap();
        assert_eq!(incus.image_alias(&name).await.unwrap().target, fingerprint);
        let none = incus
            .put_image_alias(&name, &"0".repeat(64))
            .await
            .unwrap_err();
        assert!(matches!(none, Error::NotFound(_)), "{none:?}");
        incus.delete_image_alias(&name).await.unwrap();
        let gone = incus.image_alias(&name).await.unwrap_err();
        assert!(matches!(gone, Error::NotFound(_)), "{gone:?}");
        assert!(there().await.is_some(), "an image outlives its name");

        incus.put_image_alias(&name, &fingerprint).await.unwrap();
        bed.done(incus.delete_image(&fingerprint).await)
            .await
            .unwrap();
        assert!(there().await.is_none());
        for gone in [
            incus.image_alias(&name).await.map(drop).unwrap_err(),
            incus
                .delete_image(&fingerprint)
                .await
                .map(drop)
                .unwrap_err(),
            incus.delete_image_alias(&name).await.unwrap_err(),
        ] {
            assert!(matches!(gone, Error::NotFound(_)), "{gone:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_image_that_cannot_be_fetched_is_told_late() {
    everywhere(|bed| async move {
        let pull = |server: &str, alias: &str| ImagePull {
            server: server.into(),
            alias: alias.into(),
        };
        let begun = bed.incus.pull_image(&pull(&bed.server, "none")).await;
        let unknown = bed.done(begun).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound(_)), "{unknown:?}");
        let begun = bed
            .incus
            .pull_image(&pull("https://127.0.0.1:1", "tiny"))
            .await;
        let away = bed.done(begun).await.unwrap_err();
        let Error::OperationFailed(text) = away else {
            panic!("{away:?}")
        };
        assert!(text.ends_with("connect: connection refused])"), "{text}");
    })
    .await;
}
