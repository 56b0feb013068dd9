//! A guest that does not do as it is told. The rest of starting and stopping needs no guest:
//! `crates/daemon/tests/service/power.rs`.

use std::collections::BTreeMap;

use containarium_incus::InstancePatch;
use containarium_testkit::Key;
use serde_json::json;

use super::start;

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

/// What lxcfs tells inside of one that was started at once after a stop is its own, and not what was so
/// before: docs/decisions/0002-stop-hook.md.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_started_again_at_once_sees_its_own_limits() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let [instance] = &bed.instances().await[..] else {
        panic!("one container")
    };
    for mebibytes in [400_u64, 600].repeat(4) {
        let force = Some(json!({"force": true}));
        let stopped = daemon
            .ask_as_admin("POST", "/v1/containers/alice/stop", force)
            .await;
        assert_eq!(stopped.status, 200, "{stopped:?}");
        let limit = ("limits.memory".to_owned(), format!("{mebibytes}MiB"));
        let limited = InstancePatch {
            config: BTreeMap::from([limit]),
            ..InstancePatch::default()
        };
        let incus = bed.incus();
        incus
            .patch_instance(&instance.name, &limited)
            .await
            .unwrap();
        let started = daemon
            .ask_as_admin("POST", "/v1/containers/alice/start", None)
            .await;
        assert_eq!(started.status, 200, "{started:?}");
        let seen = login
            .says("awk '/MemTotal/ { print $2 / 1024 }' /proc/meminfo")
            .await;
        assert_eq!(seen.trim(), mebibytes.to_string());
        // A new boot's, and not the one's before.
        let up = login.says("cut -d. -f1 /proc/uptime").await;
        let up: u64 = up.trim().parse().unwrap();
        assert!(up < 30, "{up} s");
    }
}
