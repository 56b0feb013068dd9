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
    session.does_the_handbooks_lifecycle().await;
    assert!(bed.living().await.is_empty());
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
