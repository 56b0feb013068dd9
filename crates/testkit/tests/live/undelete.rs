//! A delete can be taken back: what is in the container, its keys, address and limits come back with it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use std::time::Duration;

use containarium_core::Role;
use containarium_testkit::{Answer, Bed, Key, TestDaemon, wait_for};
use serde_json::{Value, json};

use super::{
    SOON, start,
    state::{becomes, hears, listen, told},
};

async fn delete(daemon: &TestDaemon, query: &str) -> Value {
    let path = format!("/v1/containers/alice?{query}");
    let deleted = daemon.ask_as_admin("DELETE", &path, None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    deleted.json()
}

async fn undelete(daemon: &TestDaemon) -> Answer {
    daemon
        .ask_as_admin("POST", "/v1/containers/alice/undelete", None)
        .await
}

async fn deleted(daemon: &TestDaemon) -> Value {
    let kept = daemon
        .ask_as_admin("GET", "/v1/containers?state=deleted", None)
        .await;
    assert_eq!(kept.status, 200, "{kept:?}");
    kept.json()["containers"].clone()
}

/// What the engine keeps of the only instance.
async fn config(bed: &Bed, key: &str) -> String {
    let instance = bed.instances().await.remove(0);
    instance.config.get(key).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ran_comes_back_running_with_all_that_was_in_it() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let before = daemon.create("alice", &key).await;
    let login = key.login(&before);
    login.says("echo precious > file && sync").await;
    let more = Key::new();
    let added = daemon
        .ask_as_admin(
            "POST",
            "/v1/containers/alice/ssh-keys",
            Some(json!({"key": more.public()})),
        )
        .await;
    assert_eq!(added.status, 200, "{added:?}");
    let limits = config(&bed, "limits.memory").await;
    let mut events = listen(&daemon, "alice").await;

    let answer = delete(&daemon, "force=true").await;
    let until = answer["deletedUntil"].as_str().unwrap();
    assert!(
        answer["message"].as_str().unwrap().contains(until),
        "{answer}"
    );
    hears(&mut events, "deleted").await;
    let owner = daemon.token("alice", &[Role::User]);
    for (method, path) in [
        ("GET", "/v1/containers/alice"),
        ("GET", "/v1/metrics/alice"),
        ("GET", "/v1/containers/alice/ssh-keys"),
        ("POST", "/v1/containers/alice/start"),
        ("POST", "/v1/containers/alice/stop"),
        ("DELETE", "/v1/containers/alice"),
    ] {
        let gone = daemon.ask(method, path, Some(&owner), None).await;
        assert_eq!(gone.status, 404, "{method} {path}: {gone:?}");
    }
    let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(list.json()["totalCount"], 0, "{list:?}");
    let kept = deleted(&daemon).await;
    assert_eq!(kept[0]["username"], "alice", "{kept}");
    assert_eq!(kept[0]["state"], "deleted", "{kept}");
    assert_eq!(kept[0]["deletedUntil"], answer["deletedUntil"], "{kept}");
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(config(&bed, "limits.memory").await, limits);
    assert_eq!(
        bed.instances().await[0].devices["root"]["size"],
        "3000000000"
    );

    let foreign = daemon.token("mallory", &[Role::User]);
    let path = "/v1/containers/alice/undelete";
    let hidden = daemon.ask("POST", path, Some(&foreign), None).await;
    assert_eq!(hidden.status, 404, "{hidden:?}");
    let list = daemon
        .ask("GET", "/v1/containers?state=deleted", Some(&foreign), None)
        .await;
    assert_eq!(list.json()["totalCount"], 0, "{list:?}");

    let back = daemon.ask("POST", path, Some(&owner), None).await;
    assert_eq!(back.status, 200, "{back:?}");
    let back = back.json();
    assert_eq!(back["container"]["state"], "running", "{back}");
    assert_eq!(
        back["container"]["network"]["ipAddress"], before.network.ip_address,
        "{back}"
    );
    assert!(back["container"]["deletedUntil"].is_null(), "{back}");
    hears(&mut events, "running").await;
    assert_eq!(login.says("cat file").await, "precious");
    more.login(&before).says("true").await;
    assert_eq!(config(&bed, "user.containarium.deleted").await, "");
    assert_eq!(deleted(&daemon).await, json!([]));
    let none = undelete(&daemon).await;
    assert_eq!(
        none.status, 404,
        "there is nothing more to bring back: {none:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_stopped_comes_back_stopped() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    delete(&daemon, "").await;
    let back = undelete(&daemon).await;
    assert_eq!(back.json()["container"]["state"], "stopped", "{back:?}");
    assert_eq!(told(&daemon, "alice").await["state"], "stopped");
    let started = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    login.says("true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_free_at_once_and_the_newest_of_it_comes_back() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let first = daemon.create("alice", &key).await;
    key.login(&first).says("echo first > file && sync").await;
    delete(&daemon, "force=true").await;
    let second = daemon.create("alice", &key).await;
    assert_ne!(first.network.ip_address, second.network.ip_address);
    let uids: std::collections::BTreeSet<String> = bed
        .instances()
        .await
        .iter()
        .map(|instance| instance.config["security.idmap.base"].clone())
        .collect();
    assert_eq!(uids.len(), 2, "{uids:?}");
    key.login(&second).says("echo second > file && sync").await;

    let taken = undelete(&daemon).await;
    assert_eq!(
        (taken.status, taken.reason().as_str()),
        (409, "already_exists"),
        "{taken:?}"
    );
    // The way out, as it is told: both are kept, and this one is named by its id.
    let told = taken.json();
    assert_eq!(told["hint"], "DELETE /v1/containers/alice?force=true");
    let id = first.id.as_ref().unwrap().to_string();
    assert!(told["error"].as_str().unwrap().contains(&id), "{told}");
    let kept = delete(&daemon, "force=true").await;
    assert!(kept["deletedUntil"].is_string(), "{kept}");
    let by_id = Some(json!({ "id": id }));
    let back = daemon.ask_as_admin("POST", "/v1/containers/alice/undelete", by_id);
    let back = back.await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(key.login(&first).says("cat file").await, "first");

    delete(&daemon, "force=true").await;
    let third = daemon.create("alice", &key).await;
    key.login(&third).says("echo third > file && sync").await;
    delete(&daemon, "force=true").await;
    assert_eq!(deleted(&daemon).await.as_array().unwrap().len(), 3);
    let back = undelete(&daemon).await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(key.login(&third).says("cat file").await, "third");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_are_kept_of_a_name_each_comes_back_by_its_id() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let mut both = Vec::new();
    for words in ["first", "second"] {
        let made = daemon.create("alice", &key).await;
        let login = key.login(&made);
        login.says(&format!("echo {words} > file && sync")).await;
        delete(&daemon, "force=true&onlyKept=true").await;
        both.push((words, made.id.unwrap(), login));
    }
    let kept = deleted(&daemon).await;
    let mut ids: Vec<_> = kept
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    ids.sort_by_key(|id| id.to_string());
    let mut wanted: Vec<_> = both.iter().map(|(_, id, _)| json!(id)).collect();
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(ids, wanted.iter().collect::<Vec<_>>(), "{kept}");
    for (words, id, login) in &both {
        let body = Some(json!({"id": id}));
        let path = "/v1/containers/alice/undelete";
        let back = daemon.ask_as_admin("POST", path, body).await;
        assert_eq!(back.json()["container"]["id"], json!(id), "{back:?}");
        assert_eq!(&login.says("cat file").await, words);
        delete(&daemon, &format!("force=true&id={id}")).await;
    }
    assert_eq!(bed.instances().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_means_another_or_may_only_keep_touches_nothing() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let first = daemon.create("alice", &key).await.id.unwrap();
    delete(&daemon, "force=true&purge=true").await;
    let second = daemon.create("alice", &key).await;
    let login = key.login(&second);
    login.says("echo precious > file && sync").await;
    let path = format!("/v1/containers/alice?force=true&purge=true&id={first}");
    let refused = daemon.ask_as_admin("DELETE", &path, None).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (409, "replaced"),
        "{refused:?}"
    );
    assert_eq!(login.says("cat file").await, "precious");

    let daemon = daemon.restarted_keeping(Duration::ZERO).await;
    let path = "/v1/containers/alice?force=true&onlyKept=true";
    let refused = daemon.ask_as_admin("DELETE", path, None).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (409, "irreversible"),
        "{refused:?}"
    );
    assert_eq!(login.says("cat file").await, "precious");
    let gone = delete(&daemon, "force=true").await;
    assert!(gone["deletedUntil"].is_null(), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_kept_is_not_started_by_incus() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    delete(&daemon, "force=true").await;
    // As a power cut that takes the containers with it, too.
    bed.kill_engine();
    bed.start_engine();
    assert!(bed.instances().await[0].status_code.is_stopped());
    wait_for(SOON, "the daemon has noticed", async || {
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        if list.json()["engine"] == "ok" {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    assert_eq!(config(&bed, "volatile.last_state.power").await, "STOPPED");
    let back = undelete(&daemon).await;
    assert_eq!(back.json()["container"]["state"], "running", "{back:?}");
    login.says("true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_or_needed_is_gone_and_what_lives_stays() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let gone = delete(&daemon, "force=true&purge=true").await;
    assert!(gone["deletedUntil"].is_null(), "{gone}");
    assert_eq!(bed.instances().await.len(), 0);
    assert_eq!(undelete(&daemon).await.status, 404);

    // One that is kept goes where the storage is nearly full; one that lives does not.
    daemon.create("bob", &key).await;
    daemon.create("alice", &key).await;
    delete(&daemon, "force=true").await;
    let _ballast = super::full::Ballast::in_dir(&bed.pool());
    // A reconciler's pass is what looks; a start of the daemon is one.
    let daemon = daemon.restarted().await;
    wait_for(SOON, "what is kept is gone", async || {
        let kept = deleted(&daemon).await;
        if kept == json!([]) { Ok(()) } else { Err(kept) }
    })
    .await;
    assert_eq!(bed.instances().await.len(), 1);
    becomes(&daemon, "bob", "running").await;
}
