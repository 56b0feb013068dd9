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
    assert!(there.incus.instances().await.unwrap().is_empty());
    let listed = session.call("list_containers", json!({})).await;
    let first = listed.text.lines().next();
    assert_eq!(first, Some("SIMULATED: nothing real is created."));
}
