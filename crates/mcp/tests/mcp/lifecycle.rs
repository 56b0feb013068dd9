//! The built `mcp-server` with a daemon behind it, on an incusd in memory. On a real one the same is in
//! the live suite.

use containarium_testkit::{McpSession, Simulated, TestDaemon};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_handbooks_lifecycle_works_over_stdio() {
    let there = Simulated::on(241).await;
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let mut session = McpSession::with(&daemon).await;
    session.does_the_handbooks_lifecycle().await;
    let listed = session.call("list_containers", json!({})).await;
    let first = listed.text.lines().next();
    assert_eq!(first, Some("SIMULATED: nothing real is created."));
    assert_eq!(listed.structured["totalCount"], 0);

    // It is gone for everybody, and can be brought back.
    let kept = session
        .must("list_containers", json!({"state": "deleted"}))
        .await;
    assert_eq!(kept["containers"][0]["username"], "testuser");
    assert!(kept["containers"][0]["deletedUntil"].is_string(), "{kept}");
    let user = json!({"username": "testuser"});
    let back = session.must("undelete_container", user.clone()).await;
    assert_eq!(back["container"]["state"], "stopped", "as it was");
    let deleted = session.must("delete_container", user).await;
    assert!(deleted["deletedUntil"].is_string(), "{deleted}");
    let message = deleted["message"].as_str().unwrap();
    assert!(message.contains("undelete_container"), "{message}");
    assert_eq!(there.incus.instances().await.unwrap().len(), 1, "kept");
}
