//! While Incus hangs or is away: what is known is told from memory, containers go on, nothing is begun.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use std::time::{Duration, Instant};

use containarium_core::{Patience, Role};
use containarium_testkit::{Bed, Key, Laptop, TestDaemon, wait_for};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Child,
};

use super::{SOON, state::becomes};

/// The longest that a read may take while Incus does not answer, and a refusal.
const AT_ONCE: Duration = Duration::from_millis(500);
/// After this the daemon has noticed.
const NOTICED: Duration = Duration::from_secs(30);

/// A session through the tunnel that stays open: it repeats what it is told.
async fn session(laptop: &Laptop, key: &Key) -> Child {
    let line = format!("containarium ssh alice -i {} cat", key.path().display());
    laptop
        .command("bash")
        .args(["-c", &line])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

async fn repeats(session: &mut Child, word: &str) {
    let to = session.stdin.as_mut().unwrap();
    to.write_all(format!("{word}\n").as_bytes()).await.unwrap();
    to.flush().await.unwrap();
    let mut said = String::new();
    let mut from = BufReader::new(session.stdout.as_mut().unwrap());
    let read = tokio::time::timeout(SOON, from.read_line(&mut said)).await;
    read.unwrap().unwrap();
    assert_eq!(said.trim_end(), word);
}

/// What holds for as long as Incus does not answer.
async fn holds(daemon: &TestDaemon, laptop: &Laptop, key: &Key, open: &mut Child) {
    wait_for(NOTICED, "the daemon has noticed", async || {
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        if list.json()["engine"] == "unreachable" {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    for path in [
        "/v1/containers",
        "/v1/containers/alice",
        "/v1/containers/alice/ssh-keys",
        "/v1/operations",
        "/v1/metrics",
        "/v1/metrics/alice",
        "/v1/system/info",
        "/v1/images",
        "/v1/admin/leaks",
    ] {
        let begun = Instant::now();
        let told = daemon.ask_as_admin("GET", path, None).await;
        assert!(begun.elapsed() < AT_ONCE, "{path}: {:?}", begun.elapsed());
        assert_eq!(told.status, 200, "{path}: {told:?}");
    }
    let alice = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(alice.json()["engine"], "unreachable", "{alice:?}");
    assert_eq!(alice.json()["container"]["state"], "running", "{alice:?}");
    repeats(open, "still here").await;
    let line = format!("containarium ssh alice -i {} id -un", key.path().display());
    assert_eq!(laptop.prints(&line).await, "alice");
    let ask = |name: &str| Some(json!({ "username": name }));
    for (method, path, body) in [
        ("POST", "/v1/containers", ask("bob")),
        ("POST", "/v1/containers/alice/stop", None),
        ("POST", "/v1/containers/alice/start", None),
        ("DELETE", "/v1/containers/alice?force=true", None),
        (
            "POST",
            "/v1/containers/alice/ssh-keys",
            Some(json!({"key": Key::new().public()})),
        ),
        ("POST", "/v1/containers/old/undelete", None),
    ] {
        let begun = Instant::now();
        let refused = daemon.ask_as_admin(method, path, body).await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (503, "engine_unavailable"),
            "{method} {path}: {refused:?}"
        );
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert!(begun.elapsed() < AT_ONCE, "{path}: {:?}", begun.elapsed());
    }
    assert_eq!(daemon.ask("GET", "/health", None, None).await.status, 200);
    let ready = daemon.ask("GET", "/ready", None, None).await;
    assert_eq!(ready.status, 503, "{ready:?}");
}

/// What is so again once Incus answers.
async fn is_well(daemon: &TestDaemon) {
    wait_for(SOON, "ready again", async || {
        let ready = daemon.ask("GET", "/ready", None, None).await;
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        if ready.status == 200 && list.json()["engine"] == "ok" {
            Ok(())
        } else {
            Err((ready, list))
        }
    })
    .await;
    becomes(daemon, "alice", "running").await;
    let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(list.json()["totalCount"], 1, "nothing was begun: {list:?}");
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
}

async fn with_alice(bed: &Bed) -> (Laptop, TestDaemon, Key, Child) {
    let mut laptop = Laptop::new(&bed.installation.name);
    let daemon = TestDaemon::on_at(bed, laptop.server().into(), Patience::default()).await;
    laptop.may_reach(&daemon.url, daemon.token("alice", &[Role::User]));
    let key = Key::new();
    daemon.create("old", &key).await;
    let deleted = daemon
        .ask_as_admin("DELETE", "/v1/containers/old?force=true", None)
        .await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    daemon.create("alice", &key).await;
    let mut open = session(&laptop, &key).await;
    repeats(&mut open, "hello").await;
    (laptop, daemon, key, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_incus_hangs_containers_go_on_and_what_is_known_is_told() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let (laptop, daemon, key, mut open) = with_alice(&bed).await;
    let paused = bed.pause_engine();
    holds(&daemon, &laptop, &key, &mut open).await;
    paused.resume();
    is_well(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_incus_is_away_containers_go_on_and_what_is_known_is_told() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let (laptop, daemon, key, mut open) = with_alice(&bed).await;
    bed.kill_engine();
    holds(&daemon, &laptop, &key, &mut open).await;
    bed.start_engine();
    is_well(&daemon).await;
}
