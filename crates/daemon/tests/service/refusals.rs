//! Creates that are refused, and leave nothing.

use containarium_testkit::{Answer, Key};
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
    let ask = |of| {
        let labels = json!({"labels": {"of": of}});
        here.daemon.ask_to_create("alice", &key, labels)
    };
    let (one, other) = tokio::join!(ask("one"), ask("other"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{one:?}\n{other:?}");
    assert_eq!(here.there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_create_twice_at_once_is_one_and_both_are_told_of_it() {
    let here = Installed::new(240).await;
    let key = Key::new();
    let ask = || here.daemon.ask_to_create("alice", &key, json!({}));
    let (one, other) = tokio::join!(ask(), ask());
    assert_eq!((one.status, other.status), (201, 201), "{one:?}\n{other:?}");
    let operation = |answer: &Answer| answer.header("containarium-operation").map(str::to_owned);
    assert!(operation(&one).is_some());
    assert_eq!(operation(&one), operation(&other));
    assert_eq!(one.json(), other.json());
    assert_eq!(here.there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_of_another_than_was_meant_is_refused() {
    let here = Installed::new(241).await.with_alice().await;
    let ask = async |method, path: &str| here.daemon.ask_as_admin(method, path, None).await;
    let id = async || {
        let got = ask("GET", "/v1/containers/alice").await.json();
        got["container"]["id"].as_str().unwrap().to_owned()
    };
    let first = id().await;
    let path = format!("/v1/containers/alice?force=true&onlyKept=true&id={first}");
    let kept = ask("DELETE", &path).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    assert!(kept.json()["deletedUntil"].is_string(), "{kept:?}");
    let here_again = here
        .daemon
        .ask_to_create("alice", &Key::new(), json!({}))
        .await;
    assert_eq!(here_again.status, 201, "{here_again:?}");
    let second = id().await;
    let refused = ask(
        "DELETE",
        &format!("/v1/containers/alice?force=true&id={first}"),
    )
    .await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (409, "replaced"),
        "{refused:?}"
    );
    assert_eq!(
        refused.json()["error"],
        "alice-container is another one by now"
    );
    assert_eq!(id().await, second);
    // Both are kept in the end, and either comes back.
    assert_eq!(
        ask("DELETE", "/v1/containers/alice?force=true")
            .await
            .status,
        200
    );
    let list = ask("GET", "/v1/containers?state=deleted&limit=1")
        .await
        .json();
    assert_eq!(list["totalCount"], 2, "{list}");
    let cursor = list["nextCursor"].as_str().unwrap();
    let rest = format!("/v1/containers?state=deleted&limit=1&cursor={cursor}");
    let rest = ask("GET", &rest).await.json();
    assert!(rest["nextCursor"].is_null(), "{rest}");
    let mut ids = [&list, &rest].map(|page| page["containers"][0]["id"].clone());
    ids.sort_by_key(ToString::to_string);
    let mut wanted = [json!(first), json!(second)];
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(ids, wanted);
    let undelete = "/v1/containers/alice/undelete";
    let body = Some(json!({"id": first}));
    let back = here
        .daemon
        .ask_as_admin("POST", undelete, body.clone())
        .await;
    assert_eq!(back.json()["container"]["id"], json!(first), "{back:?}");
    let none = here.daemon.ask_as_admin("POST", undelete, body).await;
    assert_eq!(
        (none.status, none.reason().as_str()),
        (404, "not_found"),
        "{none:?}"
    );
    let hint = none.json()["hint"].clone();
    assert_eq!(hint, "GET /v1/containers?state=deleted");
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
