//! How a container ended, where nobody ended it through us: when, why, and its last words.

use containarium_incus::StateChange;
use containarium_testkit::{Bed, Key, TestDaemon, wait_for};
use serde_json::json;

use super::{
    SOON, start,
    state::{CHANGE, becomes, hears, listen, past_us, told},
};

/// Lets the next start of it end with these words.
const DOOMED: &str = "sudo mv /sbin/init /sbin/init.whole && \
    printf '#!/bin/sh\\necho no such luck\\nexit 1\\n' | sudo tee /sbin/init >/dev/null && \
    sudo chmod +x /sbin/init && sync";

#[tokio::test(flavor = "multi_thread")]
async fn one_that_shuts_itself_down_is_stopped_and_says_when_and_why() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let daemon = TestDaemon::impatient(&bed).await;
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    wait_for(SOON, "it is not young any more", async || {
        let up = login.says("cut -d. -f1 /proc/uptime").await;
        if up.parse::<u64>().unwrap() > 3 {
            Ok(())
        } else {
            Err(up)
        }
    })
    .await;
    let mut events = listen(&daemon, "alice").await;
    let _broken = login.run("sudo poweroff").await;
    let stopped = becomes(&daemon, "alice", "stopped").await;
    hears(&mut events, "stopped").await;
    let exit = &told(&daemon, "alice").await["lastExit"];
    assert_eq!(exit["reason"], "guest", "{stopped}");
    assert!(exit["at"].as_str().unwrap().ends_with('Z'), "{exit}");
    assert!(
        exit["console"].as_str().is_some_and(|c| !c.is_empty()),
        "{exit}"
    );
    assert!(
        exit["actor"].is_null() && exit["operation"].is_null(),
        "{exit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_at_its_start_is_in_error_with_its_last_words() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    login.says(DOOMED).await;
    let stop = Some(json!({"force": true}));
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", stop)
        .await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let mut events = listen(&daemon, "alice").await;
    let failed = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(failed.status, 500, "{failed:?}");
    assert!(failed.body.contains("no such luck"), "{failed:?}");
    let wrong = told(&daemon, "alice").await;
    assert_eq!(wrong["state"], "error", "{wrong}");
    let exit = &wrong["lastExit"];
    assert_eq!(exit["reason"], "guest", "{wrong}");
    assert!(
        exit["console"].as_str().unwrap().contains("no such luck"),
        "{wrong}"
    );
    hears(&mut events, "error").await;

    // The same where Incus starts it past us.
    past_us(&bed, &StateChange::start()).await;
    hears(&mut events, "starting").await;
    let event = hears(&mut events, "error").await;
    assert!(
        event["detail"].as_str().unwrap().contains("of its start"),
        "{event}"
    );
    let wrong = told(&daemon, "alice").await;
    assert_eq!(wrong["state"], "error", "{wrong}");
    assert!(
        wrong["detail"].as_str().unwrap().contains("of its start"),
        "{wrong}"
    );
    daemon.delete("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_through_incus_says_who_did_it() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let mut events = listen(&daemon, "alice").await;
    past_us(&bed, &StateChange::kill()).await;
    let event = hears(&mut events, "stopped").await;
    assert!(
        event["detail"].as_str().unwrap().contains("through Incus"),
        "{event}"
    );
    let exit = told(&daemon, "alice").await["lastExit"].clone();
    assert_eq!(exit["reason"], "engine", "{exit}");
    assert!(!exit["actor"].as_str().unwrap().is_empty(), "{exit}");

    let started = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    // Gracefully it ends by its own hand, and somebody asked for it all the same.
    past_us(&bed, &StateChange::stop(CHANGE)).await;
    let stopped = becomes(&daemon, "alice", "stopped").await;
    assert_eq!(stopped["lastExit"]["reason"], "engine", "{stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stops_while_nobody_looks_says_that() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let daemon = daemon
        .restarted_after(async || past_us(&bed, &StateChange::kill()).await)
        .await;
    let stopped = wait_for(SOON, "how it stopped is told", async || {
        let now = told(&daemon, "alice").await;
        if now["lastExit"].is_object() {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await;
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["lastExit"]["reason"], "unobserved", "{stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_or_deleted_through_us_says_who_asked_and_how() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let mut events = listen(&daemon, "alice").await;
    let owner = daemon.token("alice", &[containarium_core::Role::User]);
    let stopped = daemon
        .ask("POST", "/v1/containers/alice/stop", Some(&owner), None)
        .await;
    let exit = stopped.json()["container"]["lastExit"].clone();
    assert_eq!(exit["reason"], "requested", "{stopped:?}");
    assert_eq!(exit["actor"], "alice", "{stopped:?}");
    let operation = exit["operation"].as_str().unwrap();
    let path = format!("/v1/operations/{operation}");
    let found = daemon.ask("GET", &path, Some(&owner), None).await;
    assert_eq!(found.json()["operation"]["kind"], "stop", "{found:?}");
    let cause = found.json()["operation"]["cause"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(exit["detail"].as_str().unwrap().contains(&cause), "{exit}");
    hears(&mut events, "stopped").await;

    let started = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    hears(&mut events, "running").await;
    let deleted = daemon
        .ask_as_admin("DELETE", "/v1/containers/alice?force=true", None)
        .await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    hears(&mut events, "deleted").await;
    let kept = daemon
        .ask_as_admin("GET", "/v1/containers?state=deleted", None)
        .await;
    let exit = kept.json()["containers"][0]["lastExit"].clone();
    assert_eq!(
        (&exit["reason"], &exit["actor"]),
        (&json!("requested"), &json!("admin"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_incus_has_lost_is_in_error_and_can_be_deleted() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let mut events = listen(&daemon, "alice").await;
    past_us(&bed, &StateChange::kill()).await;
    hears(&mut events, "stopped").await;
    let name = bed.instances().await.remove(0).name;
    let begun = bed.incus().delete_instance(&name).await.unwrap();
    bed.incus().wait(&begun, CHANGE).await.unwrap();
    let event = hears(&mut events, "error").await;
    assert!(
        event["detail"].as_str().unwrap().contains("is gone"),
        "{event}"
    );
    let wrong = becomes(&daemon, "alice", "error").await;
    assert!(
        wrong["detail"].as_str().unwrap().contains("is gone"),
        "{wrong}"
    );
    let started = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(
        (started.status, started.reason().as_str()),
        (404, "not_found"),
        "{started:?}"
    );
    let deleted = daemon
        .ask_as_admin("DELETE", "/v1/containers/alice", None)
        .await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(deleted.json()["deletedUntil"].is_null(), "{deleted:?}");
    daemon.create("alice", &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_init_is_killed_for_its_memory_says_so() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let small = json!({"resources": {"cpu": "1", "memory": "128MB", "disk": "3GB"}});
    let login = key.login(&daemon.create_as("alice", &key, small).await.container);
    // Of all in its group the kernel takes the init first, as it would where that is what eats.
    login
        .says("echo 1000 | sudo tee /proc/1/oom_score_adj")
        .await;
    let _broken = login.run("tail /dev/zero").await;
    let stopped = wait_for(SOON, "how it ended is told", async || {
        let now = told(&daemon, "alice").await;
        if now["lastExit"].is_object() {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await;
    assert_eq!(stopped["lastExit"]["reason"], "out_of_memory", "{stopped}");
}
