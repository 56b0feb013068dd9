//! The built `mcp-server`, end to end.

use containarium_testkit::{Key, McpSession};
use serde_json::json;

use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_handbooks_lifecycle_works_over_stdio() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let mut session = McpSession::with(&daemon).await;
    let user = json!({"username": "testuser"});
    let small = json!({"username": "testuser", "cpu": "1", "memory": "512MB", "disk": "3GB"});
    let made = session.must("create_container", small).await;
    assert_eq!(made["container"]["state"], "running");
    assert!(
        made["message"]
            .as_str()
            .unwrap()
            .contains("Nobody can log in"),
        "{made}"
    );
    let got = session.must("get_container", user.clone()).await;
    assert_eq!(got["container"]["name"], "testuser-container");
    assert_eq!(
        session.must("list_containers", json!({})).await["totalCount"],
        1
    );
    let metrics = session.must("get_metrics", json!({})).await;
    assert!(
        metrics["metrics"][0]["memoryUsageBytes"].as_u64().unwrap() > 0,
        "{metrics}"
    );
    let info = session.must("get_system_info", json!({})).await;
    assert_eq!(info["info"]["containersRunning"], 1);

    let refused = session.call("delete_container", user.clone()).await;
    assert!(
        refused.is_error && refused.text.starts_with("API error (status 409): {"),
        "{refused:?}"
    );
    assert!(
        refused.text.contains("\"force\":true"),
        "the way out: {}",
        refused.text
    );
    let stopped = session.must("stop_container", user.clone()).await;
    assert_eq!(stopped["container"]["state"], "stopped");
    assert_eq!(
        session.must("start_container", user.clone()).await["container"]["state"],
        "running"
    );
    session
        .must(
            "stop_container",
            json!({"username": "testuser", "force": true}),
        )
        .await;
    session.must("delete_container", user).await;
    assert!(bed.instances().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_containers_are_made_at_once_in_one_session() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let mut session = McpSession::with(&daemon).await;
    let keys = [key.public()];
    let results = session
        .call_at_once(&[
            (
                "create_container",
                json!({"username": "alice", "memory": "8GB", "ssh_keys": keys}),
            ),
            (
                "create_container",
                json!({"username": "bob", "cpu": "4", "ssh_keys": keys}),
            ),
            (
                "create_container",
                json!({"username": "charlie", "ssh_keys": keys}),
            ),
        ])
        .await;
    for (result, name) in results.iter().zip(["alice", "bob", "charlie"]) {
        assert!(!result.is_error, "{name}: {}", result.text);
        let container = serde_json::from_value(result.structured["container"].clone()).unwrap();
        assert_eq!(key.login(&container).says("id -un").await, name);
    }
    assert_eq!(bed.instances().await.len(), 3);
}
