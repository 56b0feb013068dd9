//! A guest that does not do as it is told. The rest of starting and stopping needs no guest:
//! `crates/daemon/tests/service/power.rs`.

use containarium_testkit::Key;
use serde_json::json;

use crate::start;

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
