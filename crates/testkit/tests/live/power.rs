//! Starting and stopping.

use containarium_testkit::Key;
use serde_json::json;

use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_already_is_said_and_no_failure() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    daemon.create("alice", &Key::new()).await;
    for (verb, state) in [
        ("start", "running"),
        ("stop", "stopped"),
        ("stop", "stopped"),
    ] {
        let answer = daemon
            .ask_as_admin("POST", &format!("/v1/containers/alice/{verb}"), None)
            .await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}");
        assert_eq!(answer.json()["container"]["state"], state);
    }
    let again = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(
        again.json()["message"],
        "alice-container is stopped already."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_deleted_only_with_force() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let refused = daemon
        .ask_as_admin("DELETE", "/v1/containers/alice", None)
        .await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (409, "not_stopped"),
        "{refused:?}"
    );
    assert_eq!(
        refused.json()["hint"],
        "DELETE /v1/containers/alice?force=true"
    );
    login.says("true").await;
    let deleted = daemon
        .ask_as_admin("DELETE", "/v1/containers/alice?force=true", None)
        .await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(bed.instances().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_does_not_shut_down_is_left_running_with_a_way_out() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    login
        .says("sudo systemctl mask halt.target poweroff.target")
        .await;
    let short = Some(json!({"timeout": 2}));
    let refused = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", short)
        .await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (504, "deadline_exceeded"),
        "{refused:?}"
    );
    assert_eq!(
        refused.json()["hint"],
        r#"POST /v1/containers/alice/stop with {"force":true}"#
    );
    let force = Some(json!({"force": true}));
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", force)
        .await;
    assert_eq!(
        stopped.json()["container"]["state"],
        "stopped",
        "{stopped:?}"
    );
}
