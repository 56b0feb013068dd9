//! The daemon goes and comes back.

use containarium_testkit::Key;
use serde_json::json;

use crate::{SOON, start};

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_the_daemon() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let daemon = daemon.restarted().await;
    login.says("true").await;
    let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(
        list.json()["containers"][0]["username"],
        "alice",
        "{list:?}"
    );
    let taken = daemon.ask_to_create("alice", &key, json!({})).await;
    assert_eq!(taken.status, 409, "{taken:?}");
    // The next one gets an address and user ids that are still free.
    key.login(&daemon.create("bob", &key).await)
        .says("true")
        .await;
    daemon.delete("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_meets_the_daemons_end_is_finished_or_leaves_nothing() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let url = format!("{}/v1/containers", daemon.url);
    let body = json!({"username": "alice", "sshKeys": [key.public()]}).to_string();
    let token = daemon.admin_token();
    // A client of its own, because the daemon is consumed by its restart.
    let asked = tokio::task::spawn_blocking(move || {
        std::process::Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "-X",
                "POST",
                "-H",
                "content-type: application/json",
            ])
            .args(["-H", &format!("authorization: Bearer {token}"), "-d", &body])
            .args(["-o", "/dev/null", "-w", "%{http_code}", &url])
            .output()
            .unwrap()
    });
    containarium_testkit::wait_for(SOON, "the create has begun", async || {
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        if list.json()["totalCount"] == 1 {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    let daemon = daemon.restarted().await;
    let asked = asked.await.unwrap();
    let status = String::from_utf8_lossy(&asked.stdout).into_owned();
    if status == "201" {
        let get = daemon
            .ask_as_admin("GET", "/v1/containers/alice", None)
            .await;
        let container = serde_json::from_value(get.json()["container"].clone()).unwrap();
        key.login(&container).says("true").await;
    } else {
        bed.emptied(SOON).await;
    }
    assert_eq!(status, "201", "a graceful stop lets a create end");
}
