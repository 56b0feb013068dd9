//! The engine goes away in the middle of things.

use std::time::Duration;

use containarium_testkit::{Key, wait_for};
use serde_json::json;

use crate::{SOON, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_in_the_middle_of_a_create_leaves_nothing_of_it() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let (refused, ()) = tokio::join!(daemon.ask_to_create("alice", &key, json!({})), async {
        wait_for(
            Duration::from_secs(20),
            "the instance is being made",
            async || {
                let there = bed.instances().await;
                if there.is_empty() { Err(()) } else { Ok(()) }
            },
        )
        .await;
        bed.kill_engine();
    });
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (503, "engine_unavailable"),
        "{refused:?}"
    );
    assert!(refused.header("retry-after").is_some());

    let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(
        (list.status, list.json()["engine"].as_str()),
        (200, Some("unreachable")),
        "{list:?}"
    );
    let ready = daemon.ask("GET", "/ready", None, None).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(daemon.ask("GET", "/health", None, None).await.status, 200);

    bed.start_engine();
    bed.emptied(SOON).await;
    wait_for(SOON, "the name is free", async || {
        let again = daemon.ask_to_create("alice", &key, json!({})).await;
        if again.status == 201 {
            Ok(())
        } else {
            Err(again)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_an_engine_that_is_killed() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let born = login.says("cat /proc/1/stat | cut -d' ' -f22").await;
    bed.kill_engine();
    assert_eq!(login.says("cat /proc/1/stat | cut -d' ' -f22").await, born);
    bed.start_engine();
    let get = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(get.json()["container"]["state"], "running", "{get:?}");
    assert_eq!(login.says("cat /proc/1/stat | cut -d' ' -f22").await, born);
    daemon.delete("alice").await;
}
