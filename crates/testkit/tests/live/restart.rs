//! The daemon goes and comes back.

use containarium_testkit::Key;
use serde_json::json;

use super::start;

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
