//! A tenant who has filled the disk is still stopped, deleted, brought back and started.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use containarium_testkit::{Bed, Key, Login, TestDaemon};
use serde_json::{Value, json};

use super::{start, state::told};

/// More keys than a leaf of btrfs has room for.
const KEYS: usize = 16;

/// Takes every byte of the disk that is to be had.
async fn fill(login: &Login) {
    // In ever smaller pieces, until not even a byte goes in.
    let line = "n=0; for size in 256M 64M 16M 4M 1M; do \
        while fallocate -l $size fill.$n 2>/dev/null; do n=$((n + 1)); done; done; sync; \
        for size in 64k 4k 1k; do \
        dd if=/dev/urandom of=rest.$size bs=$size oflag=sync 2>/dev/null; sync; done; \
        for i in $(seq 300); do echo x > tiny.$i || break; done; sync; \
        for i in $(seq 50); do head -c 8192 /dev/urandom > more.$i || exit 0; sync; done; exit 1";
    let said = login.run(line).await;
    assert_eq!(said.status, 0, "{said:?}");
}

/// Brings one whose disk is full up until that takes more room, and is told so. A guest that meets a full disk may remove some
/// of its journal, and then there is enough.
async fn needs_room(mut up: impl AsyncFnMut() -> String) {
    let mut told = Vec::new();
    for _ in 0..5 {
        let message = up().await;
        if message.contains("disk") && message.contains("full") {
            return;
        }
        told.push(message);
    }
    panic!("it never needed more room: {told:?}");
}

async fn root_size(bed: &Bed) -> String {
    bed.instances().await[0].devices["root"]["size"].clone()
}

async fn ask(daemon: &TestDaemon, method: &str, path: &str, body: Option<Value>) -> Value {
    let answer = daemon.ask_as_admin(method, path, body).await;
    assert!(
        (200..300).contains(&answer.status),
        "{method} {path}: {answer:?}"
    );
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_disk_is_full_is_stopped_and_started_and_told_what_was_done() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    fill(&login).await;
    let force = Some(json!({"force": true}));
    for how in [None, force] {
        needs_room(async || {
            let stopped = ask(&daemon, "POST", "/v1/containers/alice/stop", how.clone()).await;
            assert_eq!(stopped["container"]["state"], "stopped", "{stopped}");
            let started = ask(&daemon, "POST", "/v1/containers/alice/start", None).await;
            assert_eq!(started["container"]["state"], "running", "{started}");
            login.says("true").await;
            fill(&login).await;
            started["message"].as_str().unwrap().to_owned()
        })
        .await;
    }
    let now = told(&daemon, "alice").await;
    assert_eq!(
        now["resources"]["disk"], "3GB",
        "it is not the quota that changed: {now}"
    );
    // With room again, the quota is what was asked for.
    login.says("rm fill.* && sync").await;
    ask(&daemon, "POST", "/v1/containers/alice/stop", None).await;
    ask(&daemon, "POST", "/v1/containers/alice/start", None).await;
    assert_eq!(root_size(&bed).await, "3000000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_disk_is_full_is_deleted_and_brought_back() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    needs_room(async || {
        fill(&login).await;
        let deleted = ask(&daemon, "DELETE", "/v1/containers/alice?force=true", None).await;
        assert!(deleted["deletedUntil"].is_string(), "{deleted}");
        let back = ask(&daemon, "POST", "/v1/containers/alice/undelete", None).await;
        assert_eq!(back["container"]["state"], "running", "{back}");
        login.says("test -s fill.0").await;
        back["message"].as_str().unwrap().to_owned()
    })
    .await;
    fill(&login).await;
    ask(
        &daemon,
        "DELETE",
        "/v1/containers/alice?force=true&purge=true",
        None,
    )
    .await;
    daemon.create("alice", &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_disk_is_full_gets_keys_until_one_is_refused_and_not_listed() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    let login = key.login(&alice);
    fill(&login).await;
    let path = "/v1/containers/alice/ssh-keys";
    let listed = async || {
        let listed = daemon.ask_as_admin("GET", path, None).await.json();
        listed["sshKeys"].as_array().unwrap().len()
    };
    // A small list of keys has room in btrfs's own leaves, a larger one needs a block of the disk. Sooner or later there is none.
    let mut refused = None;
    for added in 1..=KEYS {
        let more = Key::new();
        let line = format!("{} {}", more.public(), "x".repeat(400));
        let body = Some(json!({ "key": line }));
        let answer = daemon.ask_as_admin("POST", path, body.clone()).await;
        let works = more.login(&alice).run("true").await.status == 0;
        if answer.status == 200 {
            assert_eq!((works, listed().await), (true, 1 + added), "{answer:?}");
            continue;
        }
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (507, "insufficient_storage"),
            "{answer:?}"
        );
        assert_eq!((works, listed().await), (false, added), "{answer:?}");
        refused = Some((more, body));
        break;
    }
    let (more, body) = refused.expect("the disk is full, and no key was refused");
    login.says("rm fill.0 && sync").await;
    ask(&daemon, "POST", path, body).await;
    more.login(&alice).says("true").await;
}
