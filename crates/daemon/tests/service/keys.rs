//! `Idempotency-Key`: a request that is sent again is the same request.

use std::time::Duration;

use containarium_core::Role;
use containarium_testkit::{Answer, Key, TestDaemon};
use serde_json::{Value, json};

use crate::installed::Installed;

async fn keyed(
    daemon: &TestDaemon,
    method: &str,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Answer {
    let (token, body) = (daemon.admin_token(), body.map(|body| body.to_string()));
    daemon
        .ask_with(
            method,
            path,
            Some(&token),
            body.as_deref(),
            &[("idempotency-key", key)],
        )
        .await
}

fn operation(answer: &Answer) -> String {
    answer
        .header("containarium-operation")
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_sent_twenty_times_at_once_and_again_to_the_next_daemon_is_one() {
    let here = Installed::new(181).await;
    here.there.sim.set_latency(Duration::from_millis(100));
    let ask = json!({"username": "alice"});
    let twenty = (0..20).map(|_| {
        keyed(
            &here.daemon,
            "POST",
            "/v1/containers",
            "k",
            Some(ask.clone()),
        )
    });
    let answers = futures_util::future::join_all(twenty).await;
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.body),
            (201, &answers[0].body),
            "{answer:?}"
        );
        assert_eq!(operation(answer), operation(&answers[0]));
    }
    let Installed { daemon, there } = here;
    let daemon = daemon.restarted().await;
    let again = keyed(&daemon, "POST", "/v1/containers", "k", Some(ask.clone())).await;
    assert_eq!(
        (again.status, &again.body),
        (201, &answers[0].body),
        "{again:?}"
    );
    assert_eq!(operation(&again), operation(&answers[0]));
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
    // Another body is another request, which this key does not name.
    let other = json!({"username": "bob"});
    let refused = keyed(&daemon, "POST", "/v1/containers", "k", Some(other.clone())).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (422, "invalid_value"),
        "{refused:?}"
    );
    // As is another endpoint, and another path.
    let refused = keyed(&daemon, "POST", "/v1/containers/alice/stop", "k", None).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    // Another principal's key is another.
    let token = daemon.token("bob", &[Role::User]);
    let his = daemon
        .ask_with(
            "POST",
            "/v1/containers",
            Some(&token),
            Some(&other.to_string()),
            &[("idempotency-key", "k")],
        )
        .await;
    assert_eq!(his.status, 201, "{his:?}");
    assert_ne!(operation(&his), operation(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_sent_again_answers_the_same_again() {
    let here = Installed::new(182).await.with_alice().await;
    let key = Key::new();
    let public = json!({"key": key.public()});
    let fingerprint = {
        let path = "/v1/containers/alice/ssh-keys";
        let added = keyed(&here.daemon, "POST", path, "add", Some(public.clone())).await;
        let keys = added.json()["sshKeys"].clone();
        keys[0]["fingerprint"]
            .as_str()
            .unwrap_or_default()
            .replace('/', "%2F")
            .replace('+', "%2B")
    };
    let changes = [
        (
            "POST",
            "/v1/containers/alice/ssh-keys".to_owned(),
            "add",
            Some(public),
        ),
        (
            "DELETE",
            format!("/v1/containers/alice/ssh-keys/{fingerprint}?force=true"),
            "remove",
            None,
        ),
        ("POST", "/v1/containers/alice/stop".to_owned(), "stop", None),
        (
            "POST",
            "/v1/containers/alice/start".to_owned(),
            "start",
            None,
        ),
        (
            "DELETE",
            "/v1/containers/alice?force=true".to_owned(),
            "delete",
            None,
        ),
        (
            "POST",
            "/v1/containers/alice/undelete".to_owned(),
            "undelete",
            None,
        ),
        (
            "DELETE",
            "/v1/containers/alice?force=true&purge=true".to_owned(),
            "purge",
            None,
        ),
        (
            "DELETE",
            "/v1/images/local:debian%2F13".to_owned(),
            "image",
            None,
        ),
    ];
    for (method, path, key, body) in &changes {
        let both = futures_util::future::join(
            keyed(&here.daemon, method, path, key, body.clone()),
            keyed(&here.daemon, method, path, key, body.clone()),
        );
        let (first, second) = both.await;
        assert_eq!(first.status, 200, "{method} {path}: {first:?}");
        assert_eq!(
            (second.status, &second.body),
            (200, &first.body),
            "{method} {path}"
        );
        let again = keyed(&here.daemon, method, path, key, body.clone()).await;
        assert_eq!(
            (again.status, &again.body),
            (200, &first.body),
            "{method} {path}"
        );
        assert_eq!(operation(&again), operation(&first), "{method} {path}");
    }
    // All of it was done once.
    let list = here
        .daemon
        .ask_as_admin("GET", "/v1/operations", None)
        .await;
    let done = list.json()["operations"].as_array().unwrap().len();
    assert_eq!(done, 1 + changes.len(), "{list:?}");
    here.must_be_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_is_no_operation_and_may_be_sent_again() {
    let here = Installed::new(183).await.with_alice().await;
    let refused = keyed(&here.daemon, "DELETE", "/v1/containers/alice", "d", None).await;
    assert_eq!(refused.reason(), "not_stopped", "{refused:?}");
    here.daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    let deleted = keyed(&here.daemon, "DELETE", "/v1/containers/alice", "d", None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    let until = deleted.json()["deletedUntil"].clone();
    let again = keyed(&here.daemon, "DELETE", "/v1/containers/alice", "d", None).await;
    assert_eq!(
        (again.status, again.json()["deletedUntil"].clone()),
        (200, until),
        "{again:?}"
    );
}
