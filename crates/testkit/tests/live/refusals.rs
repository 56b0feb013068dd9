//! Creates that are refused, and leave nothing.

use containarium_testkit::Key;
use serde_json::json;

use crate::{SOON, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    let again = daemon.ask_to_create("alice", &key, json!({})).await;
    assert_eq!(
        (again.status, again.reason().as_str()),
        (409, "already_exists"),
        "{again:?}"
    );
    assert_eq!(bed.instances().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_creates_of_one_name_at_once_exactly_one_succeeds() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let ask = || daemon.ask_to_create("alice", &key, json!({}));
    let (one, other) = tokio::join!(ask(), ask());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{one:?}\n{other:?}");
    assert_eq!(bed.instances().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_refused_with_those_that_are() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let image = json!({"image": "images:nosuch/1"});
    let refused = daemon.ask_to_create("alice", &Key::new(), image).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (503, "image_unavailable"),
        "{refused:?}"
    );
    let known = bed.installation.default_image.as_str();
    assert!(refused.body.contains(known), "{refused:?}");
    bed.emptied(SOON).await;
    let gone = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(gone.status, 404, "{gone:?}");
}
