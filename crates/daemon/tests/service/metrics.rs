//! What is told of a container that has nothing to measure. That metrics are real is in the live suite.

use serde_json::json;

use crate::installed::Installed;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stopped_container_nothing_is_made_up() {
    let here = Installed::new(231).await.with_alice().await;
    here.daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    let answer = here
        .daemon
        .ask_as_admin("GET", "/v1/metrics/alice", None)
        .await;
    let mut sample = answer.json()["metrics"][0].clone();
    let told = sample.as_object_mut().unwrap();
    told.retain(|name, _| name != "sampledAt" && name != "diskUsageBytes");
    assert_eq!(sample, json!({"name": "alice-container"}));
}
