//! The client against a real incusd: every call once, and the failures it must tell apart.
//!
//! Runs when `CONTAINARIUM_TEST_INCUS_SOCKET` names a socket; `CONTAINARIUM_TEST_INCUS_POOL` may name
//! the pool (else the first one is used). Needs `tar` and a static `busybox`, from which it makes its
//! image. Everything is made in projects of its own, which are removed at the end. Without the variable
//! each case says so and passes, except where `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use containarium_incus::{
    Client, Devices, Error, Exec, FileKind, FilePost, ImagePublish, InstancePatch, InstancePost,
    NetworkPost, Operation, ProjectPost, ProjectPut, PublishSource, Source, StateChange,
    StoragePoolPost,
};

const SOCKET: &str = "CONTAINARIUM_TEST_INCUS_SOCKET";
const LONG: Duration = Duration::from_secs(60);

/// A project of its own on the real Incus, and the files of a tiny image.
#[derive(Clone)]
struct Live {
    root: Client,
    incus: Client,
    pool: String,
    files: PathBuf,
}

impl Live {
    async fn done(&self, begun: Result<Operation, Error>) -> Result<Operation, Error> {
        self.incus.wait(&begun?, LONG).await
    }

    /// The tiny image under this alias.
    async fn image(&self, alias: &str) -> String {
        let path = self.files.join("unified.tar.gz");
        let ended = self
            .done(self.incus.import_image_unified(&path, &[alias]).await)
            .await;
        ended.unwrap().fingerprint().unwrap().to_owned()
    }

    fn container(&self, name: &str, image: &str) -> InstancePost {
        let root = [
            ("type", "disk"),
            ("path", "/"),
            ("pool", self.pool.as_str()),
        ];
        let root = root.map(|(key, value)| (key.to_owned(), value.to_owned()));
        InstancePost {
            devices: Devices::from([("root".to_owned(), root.into())]),
            ..InstancePost::new(name, Source::alias(image))
        }
    }
}

/// Runs a case in a project of its own and removes the project, whatever became of the case.
async fn live<F: Future<Output = ()> + Send + 'static>(case: impl FnOnce(Live) -> F) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(socket) = std::env::var(SOCKET) else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{SOCKET} must be set under CI"
        );
        println!("skipped: {SOCKET} is not set, so there is no incusd to ask");
        return;
    };
    let root = Client::unix(socket);
    let pool = match std::env::var("CONTAINARIUM_TEST_INCUS_POOL") {
        Ok(pool) => pool,
        Err(_) => root.storage_pools().await.unwrap().remove(0).name,
    };
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let project = format!("test-{}-{number}", std::process::id());
    root.create_project(&ProjectPost {
        name: project.clone(),
        config: config([
            ("features.images", "true"),
            ("features.profiles", "false"),
            ("features.networks", "false"),
            ("features.storage.volumes", "false"),
        ]),
        ..ProjectPost::default()
    })
    .await
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    pack_tiny_image(dir.path());
    let incus = root.in_project(&project);
    let outcome = tokio::spawn(case(Live {
        root: root.clone(),
        incus,
        pool,
        files: dir.path().to_owned(),
    }))
    .await;
    let removed = root.delete_project(&project, true).await;
    outcome.unwrap();
    removed.unwrap();
}

fn config<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// `unified.tar.gz`, and `metadata.tar.gz` with `rootfs.tar.gz`: a busybox whose init waits to be told
/// to stop. The nonce keeps fingerprints apart, which Incus wants unique.
fn pack_tiny_image(dir: &Path) {
    let script = r#"
        mkdir -p rootfs/bin rootfs/sbin rootfs/etc rootfs/proc rootfs/sys rootfs/dev rootfs/tmp rootfs/root
        cp "$(command -v busybox)" rootfs/bin/busybox
        for name in sh cat sleep id; do ln -s busybox "rootfs/bin/$name"; done
        echo root:x:0:0:root:/root:/bin/sh > rootfs/etc/passwd
        printf '%s\n' '#!/bin/sh' "trap 'exit 0' 30 37" 'echo tiny is up' \
            'while :; do sleep 1 & wait $!; done' > rootfs/sbin/init
        chmod 755 rootfs/sbin/init
        printf '%s\n' 'architecture: x86_64' 'creation_date: 1700000000' 'properties:' '  os: tiny' > metadata.yaml
        tar --numeric-owner --owner=0 --group=0 -czf unified.tar.gz metadata.yaml rootfs
        tar --numeric-owner --owner=0 --group=0 -czf metadata.tar.gz metadata.yaml
        tar --numeric-owner --owner=0 --group=0 -C rootfs -czf rootfs.tar.gz .
    "#;
    let status = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success(), "cannot pack the tiny image: {status}");
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    live(async |live| {
        let server = live.incus.server().await.unwrap();
        assert!(server.is_trusted());
        assert!(!server.environment.server_version.is_empty());
        assert!(
            server
                .environment
                .storage_supported_drivers
                .iter()
                .any(|d| d.name == "dir")
        );
        assert!(server.api_extensions.iter().any(|name| name == "projects"));
        let resources = live.incus.resources().await.unwrap();
        assert!(resources.cpu.total >= 1 && resources.memory.total > resources.memory.used);
        assert!(resources.load.processes > 0);
    })
    .await;
}

#[tokio::test]
async fn a_project_is_changed_only_by_who_has_seen_it() {
    live(async |live| {
        let name = live.incus.project_name().unwrap().to_owned();
        let seen = live.root.project(&name).await.unwrap();
        assert!(
            live.root
                .projects()
                .await
                .unwrap()
                .iter()
                .any(|project| project.name == name)
        );
        let mut put = ProjectPut {
            description: "one".to_owned(),
            config: seen.value.config.clone(),
            if_match: Some(seen.etag.clone()),
        };
        put.config.insert("user.note".to_owned(), "1".to_owned());
        live.root.update_project(&name, &put).await.unwrap();
        put.description = "two".to_owned();
        let stale = live.root.update_project(&name, &put).await.unwrap_err();
        assert!(matches!(stale, Error::Precondition(_)), "{stale:?}");
        let now = live.root.project(&name).await.unwrap().value;
        assert_eq!(
            (now.description.as_str(), now.config["user.note"].as_str()),
            ("one", "1")
        );

        let taken = ProjectPost {
            name,
            ..ProjectPost::default()
        };
        let taken = live.root.create_project(&taken).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        let missing = live.root.project("no-such-project").await.unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
    })
    .await;
}

#[tokio::test]
async fn pools_and_networks_are_made_and_removed() {
    live(async |live| {
        let space = live.incus.storage_pool_resources(&live.pool).await.unwrap();
        assert!(space.total > space.used);
        let none = live
            .incus
            .storage_pool_resources("no-such-pool")
            .await
            .unwrap_err();
        assert!(none.is_not_found(), "{none:?}");
        let name = format!("t{}", std::process::id());
        let pool = StoragePoolPost {
            name: name.clone(),
            driver: "dir".to_owned(),
            ..StoragePoolPost::default()
        };
        live.incus.create_storage_pool(&pool).await.unwrap();
        let taken = live.incus.create_storage_pool(&pool).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        assert_eq!(live.incus.storage_pool(&name).await.unwrap().driver, "dir");
        live.incus.delete_storage_pool(&name).await.unwrap();
        let missing = live.incus.storage_pool(&name).await.unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");

        let network = NetworkPost {
            name: name.clone(),
            kind: "bridge".to_owned(),
            config: config([("ipv4.address", "none"), ("ipv6.address", "none")]),
            ..NetworkPost::default()
        };
        live.incus.create_network(&network).await.unwrap();
        let taken = live.incus.create_network(&network).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        assert!(live.incus.network(&name).await.unwrap().managed);
        assert!(
            live.incus
                .networks()
                .await
                .unwrap()
                .iter()
                .any(|network| network.name == name)
        );
        live.incus.delete_network(&name).await.unwrap();
        let missing = live.incus.network(&name).await.unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
    })
    .await;
}

#[tokio::test]
async fn images_are_sent_named_and_removed() {
    live(async |live| {
        let unified = live.image("a/b c:1").await;
        let (metadata, rootfs) = (
            live.files.join("metadata.tar.gz"),
            live.files.join("rootfs.tar.gz"),
        );
        let begun = live
            .incus
            .import_image_split(&metadata, &rootfs, &["s1", "s2"])
            .await;
        let split = live
            .done(begun)
            .await
            .unwrap()
            .fingerprint()
            .unwrap()
            .to_owned();

        let images = live.incus.images().await.unwrap();
        let image = images
            .iter()
            .find(|image| image.fingerprint == split)
            .unwrap();
        let mut names: Vec<_> = image
            .aliases
            .iter()
            .map(|alias| alias.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["s1", "s2"]);
        assert_eq!(image.properties["os"], "tiny");
        assert!(image.size > 100_000);

        assert_eq!(
            live.incus.image_alias("a/b c:1").await.unwrap().target,
            unified
        );
        live.incus.put_image_alias("a/b c:1", &split).await.unwrap();
        live.incus.put_image_alias("new", &split).await.unwrap();
        assert_eq!(
            live.incus.image_alias("a/b c:1").await.unwrap().target,
            split
        );
        let begun = live.incus.import_image_split(&metadata, &rootfs, &[]).await;
        let again = live.done(begun).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists(_)), "{again:?}");

        live.done(live.incus.delete_image(&split).await)
            .await
            .unwrap();
        let gone = live.incus.image_alias("new").await.unwrap_err();
        assert!(gone.is_not_found(), "{gone:?}");
        let gone = live.incus.put_image_alias("new", &split).await.unwrap_err();
        assert!(gone.is_not_found(), "{gone:?}");
        let gone = live
            .done(live.incus.delete_image(&split).await)
            .await
            .unwrap_err();
        assert!(gone.is_not_found(), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn an_instance_lives_and_dies() {
    live(async |live| {
        live.image("tiny").await;
        let incus = &live.incus;
        let post = InstancePost {
            config: config([("user.note", "1"), ("limits.memory", "64MiB")]),
            ..live.container("a1", "tiny")
        };
        live.done(incus.create_instance(&post).await).await.unwrap();
        let taken = live
            .done(incus.create_instance(&post).await)
            .await
            .unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");

        let made = incus.instance("a1").await.unwrap();
        assert!(made.value.status_code.is_stopped() && made.value.profiles.is_empty());
        assert_eq!(made.value.devices["root"]["pool"], live.pool);
        let stopped = live
            .done(incus.change_state("a1", &StateChange::kill()).await)
            .await;
        assert!(matches!(stopped, Err(Error::Stopped(_))), "{stopped:?}");
        let exec = incus.exec("a1", &Exec::new(["sh"]), LONG).await;
        assert!(matches!(exec, Err(Error::Stopped(_))), "{exec:?}");

        let mut patch = InstancePatch {
            config: config([("user.note", ""), ("user.more", "2")]),
            if_match: Some(made.etag.clone()),
            ..InstancePatch::default()
        };
        incus.patch_instance("a1", &patch).await.unwrap();
        let now = incus.instance("a1").await.unwrap();
        assert!(!now.value.config.contains_key("user.note"));
        assert_eq!(now.value.config["user.more"], "2");
        assert_ne!(now.etag, made.etag);
        let stale = incus.patch_instance("a1", &patch).await.unwrap_err();
        assert!(matches!(stale, Error::Precondition(_)), "{stale:?}");
        patch.config = config([("no.such.key", "1")]);
        patch.if_match = None;
        let unknown = incus.patch_instance("a1", &patch).await.unwrap_err();
        assert!(matches!(unknown, Error::Refused { .. }), "{unknown:?}");

        live.done(incus.change_state("a1", &StateChange::start()).await)
            .await
            .unwrap();
        let running = live
            .done(incus.change_state("a1", &StateChange::start()).await)
            .await;
        assert!(matches!(running, Err(Error::Running(_))), "{running:?}");
        let running = live
            .done(incus.delete_instance("a1").await)
            .await
            .unwrap_err();
        assert!(matches!(running, Error::Running(_)), "{running:?}");

        assert!(incus.instances().await.unwrap()[0].state.is_none());
        let full = incus.instances_full().await.unwrap().remove(0);
        assert!(full.status_code.is_running());
        assert_eq!(full.state.unwrap().memory.total, 64 << 20);
        let state = incus.instance_state("a1").await.unwrap();
        assert!(state.pid > 0 && state.processes >= 1 && state.memory.usage > 0);
        assert!(state.network.contains_key("lo"));

        // Init has its traps once it has written; before, a graceful stop is lost.
        let end = std::time::Instant::now() + LONG;
        loop {
            let log = incus.console_log("a1").await.unwrap();
            if log.contains("tiny is up") {
                break;
            }
            assert!(std::time::Instant::now() < end, "last console: {log:?}");
        }
        let stop = StateChange::stop(Duration::from_secs(20));
        live.done(incus.change_state("a1", &stop).await)
            .await
            .unwrap();
        assert!(
            incus
                .console_log("a1")
                .await
                .unwrap()
                .contains("tiny is up")
        );
        live.done(incus.delete_instance("a1").await).await.unwrap();
        let gone = incus.instance("a1").await.unwrap_err();
        assert!(gone.is_not_found(), "{gone:?}");
        assert!(incus.instances().await.unwrap().is_empty());
        let gone = live
            .done(incus.delete_instance("a1").await)
            .await
            .unwrap_err();
        assert!(gone.is_not_found(), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn a_create_that_cannot_be_is_told_late() {
    live(async |live| {
        live.image("tiny").await;
        let incus = &live.incus;
        let create = async |post: InstancePost| {
            let begun = incus.create_instance(&post).await;
            live.done(begun).await.unwrap_err()
        };
        let error = create(live.container("a1", "no-such-image")).await;
        assert!(matches!(error, Error::ImageNotProvided(_)), "{error:?}");
        let mut post = live.container("a1", "tiny");
        post.devices
            .get_mut("root")
            .unwrap()
            .insert("pool".into(), "no-such-pool".into());
        let error = create(post).await;
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
        let mut post = live.container("a1", "tiny");
        post.config = config([("limits.memory", "plenty")]);
        let error = create(post).await;
        assert!(matches!(error, Error::OperationFailed(_)), "{error:?}");
        let mut post = live.container("a1", "tiny");
        post.name = "a_b".to_owned();
        let error = create(post).await;
        assert!(
            matches!(error, Error::Refused { code: 400, .. }),
            "{error:?}"
        );
        let mut post = live.container("a1", "tiny");
        post.source = Source::copy("no-such-instance");
        let error = create(post).await;
        assert!(error.is_not_found(), "{error:?}");
        assert!(incus.instances().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn commands_are_run_and_files_are_moved() {
    live(async |live| {
        live.image("tiny").await;
        let incus = &live.incus;
        let post = InstancePost {
            start: true,
            ..live.container("a1", "tiny")
        };
        live.done(incus.create_instance(&post).await).await.unwrap();
        let sh = |script: &str| Exec::new(["sh", "-c", script]);

        assert_eq!(incus.exec("a1", &sh("exit 7"), LONG).await.unwrap(), 7);
        let mut said = sh("echo out $NOTE; id -u; pwd; echo err >&2; exit 3");
        said.environment = config([("NOTE", "x")]);
        said.user = Some(12);
        said.cwd = Some("/tmp".to_owned());
        let said = incus.exec_recorded("a1", &said, LONG).await.unwrap();
        assert_eq!((said.code, said.stdout.as_str()), (3, "out x\n12\n/tmp\n"));
        assert_eq!(said.stderr, "err\n");
        let missing = incus
            .exec("a1", &Exec::new(["no-such-command"]), LONG)
            .await
            .unwrap_err();
        assert!(matches!(missing, Error::OperationFailed(_)), "{missing:?}");
        let slow = incus
            .exec("a1", &sh("sleep 3"), Duration::from_millis(300))
            .await
            .unwrap_err();
        assert!(matches!(slow, Error::Timeout { .. }), "{slow:?}");
        // Longer than one `/wait` can be told to take at this deadline, so the loop goes round.
        let code = incus
            .exec("a1", &sh("sleep 1.5"), Duration::from_millis(2900))
            .await;
        assert_eq!(code.unwrap(), 0);

        let file = FilePost {
            uid: 7,
            gid: 8,
            mode: 0o640,
            kind: FileKind::File,
        };
        incus
            .push_file("a1", "/tmp/ü &x", &file, b"one".to_vec())
            .await
            .unwrap();
        incus
            .push_file("a1", "/tmp/ü &x", &file, b"two!".to_vec())
            .await
            .unwrap();
        assert_eq!(incus.pull_file("a1", "/tmp/ü &x").await.unwrap(), b"two!");
        let stat = incus
            .exec_recorded("a1", &sh("busybox stat -c '%u %g %a' /tmp/*x"), LONG)
            .await;
        assert_eq!(stat.unwrap().stdout, "7 8 640\n");
        let directory = FilePost {
            kind: FileKind::Directory,
            mode: 0o755,
            ..file
        };
        incus
            .push_file("a1", "/tmp/d", &directory, Vec::new())
            .await
            .unwrap();
        let link = FilePost {
            kind: FileKind::Symlink,
            ..file
        };
        incus
            .push_file("a1", "/tmp/d/l", &link, b"../target".to_vec())
            .await
            .unwrap();
        let read = incus
            .exec_recorded("a1", &sh("busybox readlink /tmp/d/l"), LONG)
            .await;
        assert_eq!(read.unwrap().stdout, "../target\n");
        let large = vec![b'x'; 8 << 20];
        incus
            .push_file("a1", "/tmp/large", &file, large.clone())
            .await
            .unwrap();
        assert_eq!(incus.pull_file("a1", "/tmp/large").await.unwrap(), large);
        let missing = incus.pull_file("a1", "/tmp/none").await.unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
        let missing = incus
            .push_file("a1", "/none/x", &file, Vec::new())
            .await
            .unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
        let directory = incus.pull_file("a1", "/tmp/d").await.unwrap_err();
        assert!(matches!(directory, Error::Conflict(_)), "{directory:?}");

        live.done(incus.change_state("a1", &StateChange::freeze()).await)
            .await
            .unwrap();
        let frozen = incus.instance("a1").await.unwrap().value;
        assert!(frozen.status_code.is_frozen());
        let again = live
            .done(incus.change_state("a1", &StateChange::freeze()).await)
            .await;
        assert!(matches!(again, Err(Error::Frozen(_))), "{again:?}");
        let exec = incus.exec("a1", &sh("true"), LONG).await.unwrap_err();
        assert!(matches!(exec, Error::Frozen(_)), "{exec:?}");
        live.done(incus.change_state("a1", &StateChange::unfreeze()).await)
            .await
            .unwrap();
        let publish = ImagePublish {
            source: PublishSource::Instance {
                name: "a1".to_owned(),
            },
            compression_algorithm: Some("none".to_owned()),
            aliases: Vec::new(),
            properties: BTreeMap::new(),
        };
        let running = live
            .done(incus.publish_image(&publish).await)
            .await
            .unwrap_err();
        assert!(matches!(running, Error::Running(_)), "{running:?}");
        live.done(incus.change_state("a1", &StateChange::kill()).await)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_template_is_rendered_into_what_is_made_of_the_image() {
    live(async |live| {
        live.image("tiny").await;
        let incus = &live.incus;
        live.done(incus.create_instance(&live.container("a1", "tiny")).await)
            .await
            .unwrap();
        let mut metadata = incus.instance_metadata("a1").await.unwrap();
        assert_eq!(metadata["properties"]["os"], "tiny");
        metadata["templates"]["/etc/who"] =
            serde_json::json!({"when": ["create", "copy"], "template": "who.tpl"});
        incus.put_instance_metadata("a1", &metadata).await.unwrap();
        let template = b"{{ config_get(\"user.who\", \"nobody\") }} in {{ instance.name }}\n";
        incus
            .put_instance_template("a1", "who.tpl", template.to_vec())
            .await
            .unwrap();
        let publish = ImagePublish {
            source: PublishSource::Instance {
                name: "a1".to_owned(),
            },
            compression_algorithm: Some("none".to_owned()),
            aliases: vec!["prepared".to_owned()],
            properties: config([("os", "tiny"), ("user.made", "by test")]),
        };
        let ended = live
            .done(incus.publish_image(&publish).await)
            .await
            .unwrap();
        let alias = incus.image_alias("prepared").await.unwrap();
        assert_eq!(Some(alias.target.as_str()), ended.fingerprint());

        let who = config([("user.who", "alice")]);
        let post = InstancePost {
            config: who.clone(),
            start: true,
            ..live.container("b1", "prepared")
        };
        live.done(incus.create_instance(&post).await).await.unwrap();
        assert_eq!(
            incus.pull_file("b1", "/etc/who").await.unwrap(),
            b"alice in b1\n"
        );
        let copy = InstancePost {
            source: Source::copy("a1"),
            config: who,
            start: true,
            ..live.container("c1", "")
        };
        live.done(incus.create_instance(&copy).await).await.unwrap();
        assert_eq!(
            incus.pull_file("c1", "/etc/who").await.unwrap(),
            b"alice in c1\n"
        );
        for name in ["b1", "c1"] {
            live.done(incus.change_state(name, &StateChange::kill()).await)
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_of_an_operation_vanishes() {
    live(async |live| {
        live.image("tiny").await;
        let incus = &live.incus;
        let begun = incus
            .create_instance(&live.container("a1", "tiny"))
            .await
            .unwrap();
        incus.wait(&begun, LONG).await.unwrap();
        let end = std::time::Instant::now() + LONG;
        loop {
            match incus.operation(&begun.id).await {
                Err(Error::NotFound(_)) => break,
                last => assert!(std::time::Instant::now() < end, "last seen: {last:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let vanished = incus.wait(&begun, LONG).await.unwrap_err();
        assert!(
            matches!(vanished, Error::OperationVanished(_)),
            "{vanished:?}"
        );
    })
    .await;
}
