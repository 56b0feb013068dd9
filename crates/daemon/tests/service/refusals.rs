//! Creates that are refused, and leave nothing.

use containarium_testkit::Key;
use serde_json::json;

use crate::installed::Installed;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused() {
    let here = Installed::new(224).await.with_alice().await;
    let again = here
        .daemon
        .ask_to_create("alice", &Key::new(), json!({}))
        .await;
    assert_eq!(
        (again.status, again.reason().as_str()),
        (409, "already_exists"),
        "{again:?}"
    );
    assert_eq!(here.there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_creates_of_one_name_at_once_exactly_one_succeeds() {
    let here = Installed::new(225).await;
    let key = Key::new();
    let ask = || here.daemon.ask_to_create("alice", &key, json!({}));
    let (one, other) = tokio::join!(ask(), ask());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{one:?}\n{other:?}");
    assert_eq!(here.there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_refused_with_those_that_are() {
    let here = Installed::new(226).await;
    let image = json!({"image": "images:nosuch/1"});
    let refused = here.daemon.ask_to_create("alice", &Key::new(), image).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (503, "image_unavailable"),
        "{refused:?}"
    );
    assert!(refused.body.contains("local:debian/12"), "{refused:?}");
    here.must_be_empty().await;
    let gone = here
        .daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(gone.status, 404, "{gone:?}");
}
