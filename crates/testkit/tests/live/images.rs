//! Images by name, from an image server to a login: incusd fetches from a server of this test, over
//! https.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use containarium_client::doing;
use containarium_contract::{ListOperations, OperationKind, OperationState};
use containarium_core::{Role, images::Remotes};
use containarium_incus::{Devices, InstancePost, Source};
use containarium_testkit::{Answer, Bed, ImageServer, Key, ServedImage, TestDaemon, wait_for};
use serde_json::{Value, json};

use super::SOON;

/// A create that prepares installs packages from a mirror.
const LONG: Duration = Duration::from_secs(280);

/// A small Debian 13 as image servers have it: without an SSH server, with a user of uid 1000 who may
/// do everything. Built once a run.
fn debian_13() -> ServedImage {
    let file = shared().join("debian-13.tar.zst");
    let lock = fs::File::create(shared().join("debian-13.lock")).unwrap();
    lock.lock().unwrap();
    if !file.exists() {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/live/debian-13.sh");
        let built = Command::new("bash")
            .arg(script)
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{said}");
    }
    ServedImage::new("debian/13", fs::read(&file).unwrap())
}

/// Where tests of one run find what another has made.
fn shared() -> PathBuf {
    std::env::var_os("CONTAINARIUM_TEST_SHARED").unwrap().into()
}

async fn served(images: &[ServedImage]) -> Option<(Bed, ImageServer, TestDaemon)> {
    let bed = Bed::made().await?;
    let server = ImageServer::of(images).await;
    let daemon = TestDaemon::with_remotes(&bed, server.remotes()).await;
    Some((bed, server, daemon))
}

async fn list(daemon: &TestDaemon) -> Vec<Value> {
    wait_for(SOON, "images are listed", async || {
        let list = daemon.ask_as_admin("GET", "/v1/images", None).await;
        assert_eq!(list.status, 200, "{list:?}");
        // It was busy for a moment.
        if list.json().get("engine") == Some(&json!("unreachable")) {
            return Err(list);
        }
        let images = list.json().get("images").cloned();
        Ok(serde_json::from_value(images.unwrap()).unwrap())
    })
    .await
}

async fn delete(daemon: &TestDaemon, image: &str) -> Answer {
    let path = format!(
        "/v1/images/{}",
        image.replace(':', "%3A").replace('/', "%2F")
    );
    daemon.ask_as_admin("DELETE", &path, None).await
}

async fn prepare(daemon: &TestDaemon, ask: Value) -> Answer {
    daemon.ask_as_admin("POST", "/v1/images", Some(ask)).await
}

/// Nothing of a preparation is left: no builder, no image that is not a prepared or a local one's.
async fn nothing_of(bed: &Bed, image: &str) {
    bed.emptied(SOON).await;
    let images = bed.incus().images().await.unwrap();
    let left: Vec<_> = images
        .iter()
        .filter(|left| {
            left.aliases.is_empty() || left.aliases.iter().any(|a| a.name.ends_with(image))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_from_a_new_image_wait_for_one_preparation_and_later_ones_do_not_wait() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let server = ImageServer::of(&[debian_13()]).await;
    let daemon = TestDaemon::with_remotes(&bed, server.remotes()).await;
    let key = Key::new();
    let from = json!({"image": "images:debian/13", "enableDocker": false});
    server.hold(true);
    let make = |username: &'static str| daemon.create_as(username, &key, from.clone());
    let watched = async {
        // Who waits can see for what.
        let progress = wait_for(SOON, "the download is told of", async || {
            let all = list(&daemon).await;
            let new = all
                .iter()
                .find(|image| image["image"] == "images:debian/13");
            match new {
                Some(new) if new["progress"]["percent"].as_u64() > Some(0) => Ok(new.clone()),
                _ => Err(all),
            }
        })
        .await;
        assert_eq!(progress["state"], "preparing");
        assert_eq!(progress["progress"]["step"], "downloading images:debian/13");
        let creates = ListOperations {
            kind: Some(OperationKind::Create),
            state: Some(OperationState::Running),
            ..ListOperations::default()
        };
        let creates = daemon.admin().call(&creates).await.unwrap().operations;
        let told: Vec<_> = creates.iter().filter_map(doing).collect();
        let downloads = |told: &String| {
            told.starts_with("downloading images:debian/13, ") && told.ends_with(" %")
        };
        assert_eq!(
            told.iter().filter(|told| downloads(told)).count(),
            3,
            "{told:?}"
        );
        let waiting = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        assert_eq!(waiting.json()["totalCount"], 3, "{waiting:?}");
        server.hold(false);
    };
    let (alice, bob, carol, ()) = tokio::join!(make("alice"), make("bob"), make("carol"), watched);
    assert_eq!(server.downloads(), 1, "{:?}", server.asked());
    for made in [&alice, &bob, &carol] {
        let login = key.login(&made.container);
        assert_eq!(login.says("id -u").await, "1000");
        assert_eq!(
            login
                .says("sudo -n id -un; . /etc/os-release; echo $ID $VERSION_ID")
                .await,
            "root\ndebian 13"
        );
        // The user that the image came with is gone, and what he was allowed.
        login.refuses("id ubuntu").await;
        login
            .refuses("sudo grep -rs ubuntu /etc/passwd /etc/group /etc/sudoers.d")
            .await;
        assert_eq!(made.container.image.as_str(), "images:debian/13");
    }
    super::booted(&key.login(&alice.container)).await;

    let begun = std::time::Instant::now();
    let dave = daemon.create_as("dave", &key, from.clone()).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    key.login(&dave.container).says("true").await;
    assert_eq!(server.downloads(), 1, "{:?}", server.asked());

    // Asked for again: nothing is newer, nothing is done.
    let ask = json!({"image": "images:debian/13", "enableDocker": false});
    let again = prepare(&daemon, ask.clone()).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert!(again.body.contains("prepared already"), "{again:?}");
    let ready = list(&daemon).await;
    let ready = ready
        .iter()
        .find(|image| image["image"] == "images:debian/13")
        .unwrap();
    assert_eq!(
        (&ready["state"], &ready["outdated"], &ready["default"]),
        (&json!("ready"), &json!(false), &json!(false))
    );
    assert!(ready["sizeBytes"].as_u64() > Some(50_000_000), "{ready}");
    assert!(
        ready["preparedAt"].as_str().unwrap().ends_with('Z'),
        "{ready}"
    );

    // Its server gone, what is prepared stays good, and that it may be old is said.
    drop(server);
    let gone = Remotes::with(["images=https://127.0.0.1:1".parse().unwrap()]);
    let daemon = TestDaemon::with_remotes(&bed, gone).await;
    daemon.leaves_a_leak("its store does not know the first one's containers");
    let kept = prepare(&daemon, ask).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    assert!(kept.body.contains("connection refused"), "{kept:?}");
    // Deleted, it takes its base image with it; the containers stay.
    let deleted = delete(&daemon, "images:debian/13").await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert_eq!(delete(&daemon, "images:debian/13").await.status, 404);
    key.login(&alice.container).says("true").await;
    let images = bed.incus().images().await.unwrap();
    let left =
        |i: &containarium_incus::Image| i.aliases.iter().any(|a| a.name.contains("debian/13"));
    assert!(!images.iter().any(left), "{images:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_its_server_does_not_have_is_refused_with_those_that_are_there() {
    let Some((bed, _server, daemon)) = served(&[]).await else {
        return;
    };
    let ask = json!({"image": "images:debian/99"});
    let refused = daemon.ask_to_create("alice", &Key::new(), ask).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (503, "image_unavailable"),
        "{refused:?}"
    );
    let known = bed.installation.default_image.as_str();
    assert!(refused.body.contains("has no image"), "{refused:?}");
    assert!(refused.body.contains(known), "{refused:?}");
    let local = daemon
        .ask_to_create("alice", &Key::new(), json!({"image": "local:nosuch"}))
        .await;
    assert_eq!(local.reason(), "image_unavailable", "{local:?}");
    nothing_of(&bed, "debian/99").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_within_seconds() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let away = Remotes::with(["images=https://127.0.0.1:1".parse().unwrap()]);
    let daemon = TestDaemon::with_remotes(&bed, away).await;
    let begun = std::time::Instant::now();
    let ask = json!({"image": "images:debian/98"});
    let refused = daemon.ask_to_create("alice", &Key::new(), ask).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (503, "image_unavailable"),
        "{refused:?}"
    );
    assert!(refused.body.contains("connection refused"), "{refused:?}");
    assert!(
        refused
            .body
            .contains(bed.installation.default_image.as_str()),
        "{refused:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    nothing_of(&bed, "debian/98").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_remotes_of_the_list_are_asked() {
    let Some((bed, server, daemon)) = served(&[]).await else {
        return;
    };
    for image in [
        "elsewhere:debian/13",
        "ubuntu:24.04",
        "local:containarium/plain/local/debian/12",
        "https://127.0.0.1/x",
        "file:///etc/passwd",
        &format!("{}/x", server.url),
    ] {
        let ask = json!({"username": "alice", "image": image});
        let create = daemon
            .ask_as_admin("POST", "/v1/containers", Some(ask))
            .await;
        let prepare = prepare(&daemon, json!({ "image": image })).await;
        for refused in [create, prepare] {
            assert_eq!(refused.status, 422, "{image}: {refused:?}");
            assert!(refused.body.contains("`image`"), "{image}: {refused:?}");
        }
    }
    let refused = prepare(&daemon, json!({"image": "elsewhere:debian/13"})).await;
    assert!(refused.body.contains("images, local"), "{refused:?}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    bed.emptied(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_apt_is_refused_and_leaves_nothing() {
    let release = "NAME=\"Alpine Linux\"\nID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
    let files = [("etc/os-release", release), ("sbin/init", "")];
    let alpine = ServedImage::of_files("alpine/3.20", &files);
    let Some((bed, server, daemon)) = served(&[alpine]).await else {
        return;
    };
    let ask = json!({"image": "images:alpine/3.20"});
    let refused = daemon.ask_to_create("alice", &Key::new(), ask).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (422, "invalid_value"),
        "{refused:?}"
    );
    assert!(refused.body.contains("Alpine Linux v3.20"), "{refused:?}");
    assert_eq!(server.downloads(), 1);
    nothing_of(&bed, "alpine/3.20").await;
    assert!(
        list(&daemon)
            .await
            .iter()
            .all(|image| image["image"] != "images:alpine/3.20")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preparation_that_a_stopping_daemon_leaves_is_done_by_the_next() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let server = ImageServer::of(&[debian_13()]).await;
    let daemon = TestDaemon::with_remotes(&bed, server.remotes()).await;
    let asked = {
        let (url, token) = (daemon.url.clone(), daemon.admin_token());
        let ask = json!({"image": "images:debian/13", "enableDocker": false}).to_string();
        tokio::spawn(async move {
            TestDaemon::ask_at(&url, "POST", "/v1/images", Some(&token), Some(&ask)).await
        })
    };
    wait_for(LONG, "packages are being installed", async || {
        assert!(
            !asked.is_finished(),
            "it ended before: {:?}",
            daemon.ask_as_admin("GET", "/v1/images", None).await
        );
        let all = list(&daemon).await;
        let step = |image: &Value| {
            image["progress"]["step"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        if all
            .iter()
            .any(|image| step(image).starts_with("installing packages"))
        {
            Ok(())
        } else {
            Err(all)
        }
    })
    .await;
    assert_eq!(bed.instances().await.len(), 1, "a builder");
    let daemon = daemon.restarted().await;
    let told = asked.await.unwrap();
    assert_eq!(told.status, 503, "{told:?}");
    assert!(told.body.contains("the daemon is stopping"), "{told:?}");
    wait_for(LONG, "the next daemon has prepared it", async || {
        let path = "/v1/operations?kind=prepare_image";
        let all = daemon.ask_as_admin("GET", path, None).await.json();
        let op = &all["operations"][0];
        if op["state"] == "succeeded" && op["attempt"].as_u64() >= Some(2) {
            Ok(())
        } else {
            Err(op.clone())
        }
    })
    .await;
    let ready = list(&daemon).await;
    let ready = ready.iter().find(|one| one["image"] == "images:debian/13");
    assert_eq!(ready.unwrap()["state"], "ready");
    bed.emptied(SOON).await;

    // One that was killed could not clean up; this is what it leaves.
    drop(daemon);
    let pool = bed.installation.name.clone();
    let root = [("type", "disk"), ("path", "/"), ("pool", pool.as_str())];
    let root = root.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let builder = InstancePost {
        devices: Devices::from([("root".to_owned(), root.into())]),
        ..InstancePost::new("build-left", Source::None)
    };
    let incus = bed.incus();
    let made = incus.create_instance(&builder).await.unwrap();
    incus.wait(&made, SOON).await.unwrap();
    let _next = TestDaemon::with_remotes(&bed, server.remotes()).await;
    bed.emptied(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_changed_by_admins_only_and_the_default_stays() {
    let Some((bed, _server, daemon)) = served(&[]).await else {
        return;
    };
    let default = bed.installation.default_image.as_str();
    let user = daemon.token("alice", &[Role::User]);
    let ask = json!({ "image": default }).to_string();
    let prepare = daemon
        .ask("POST", "/v1/images", Some(&user), Some(&ask))
        .await;
    assert_eq!(prepare.reason(), "forbidden", "{prepare:?}");
    let seen = daemon.ask("GET", "/v1/images", Some(&user), None).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(seen.json()["remotes"], json!(["images", "local"]));
    let kept = delete(&daemon, default).await;
    assert_eq!(kept.status, 409, "{kept:?}");
    assert!(kept.body.contains("containarium init --image"), "{kept:?}");
    let both: Vec<_> = list(&daemon)
        .await
        .into_iter()
        .filter(|i| i["default"] == true)
        .collect();
    assert_eq!(both.len(), 2, "with Docker and without: {both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_an_administrator_put_into_incus_is_local() {
    let Some((bed, server, daemon)) = served(&[]).await else {
        return;
    };
    // As `incus image import … --alias team/base` names one.
    let incus = bed.incus();
    let default = bed.installation.default_image.as_str().replace(':', "/");
    let alias = format!("containarium/base/{default}");
    let base = incus.image_alias(&alias).await.unwrap().target;
    incus.put_image_alias("team/base", &base).await.unwrap();
    let key = Key::new();
    let from = json!({"image": "local:team/base", "enableDocker": false});
    let made = daemon.create_as("alice", &key, from).await;
    key.login(&made.container).says("true").await;
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    // What we made of it goes; it is the administrator's.
    assert_eq!(delete(&daemon, "local:team/base").await.status, 200);
    assert_eq!(incus.image_alias("team/base").await.unwrap().target, base);
    incus.delete_image_alias("team/base").await.unwrap();
    key.login(&made.container).says("true").await;
}
