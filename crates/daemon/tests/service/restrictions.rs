//! A token that is a small key: what it does not reach, on every route, and what it cannot get around.

use std::collections::BTreeSet;

use containarium_contract::{Effect, Restrictions, Spec, StreamKind};
use containarium_core::Role;
use containarium_daemon::specs;
use containarium_testkit::{Answer, Listening, TestDaemon};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    installed::Installed,
    sample::{OPERATION, Sample, sample},
};

/// What makes a request one for a WebSocket.
const WEBSOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn ask(daemon: &TestDaemon, token: &str, ask: &Sample) -> Answer {
    let headers: &[_] = if ask.method == "GET" { &WEBSOCKET } else { &[] };
    let body = ask.body.as_deref();
    daemon
        .ask_with(&ask.method, &ask.path, Some(token), body, headers)
        .await
}

async fn get(daemon: &TestDaemon, token: &str, path: &str) -> Answer {
    daemon.ask("GET", path, Some(token), None).await
}

async fn create(daemon: &TestDaemon, token: &str, username: &str) -> Answer {
    create_with(daemon, token, username, &[]).await
}

async fn create_with(
    daemon: &TestDaemon,
    token: &str,
    username: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let body = json!({"username": username}).to_string();
    daemon
        .ask_with("POST", "/v1/containers", Some(token), Some(&body), headers)
        .await
}

async fn made(daemon: &TestDaemon, token: &str, username: &str) {
    let made = create(daemon, token, username).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn delete(daemon: &TestDaemon, token: &str, username: &str) {
    let path = format!("/v1/containers/{username}?force=true");
    let deleted = daemon.ask("DELETE", &path, Some(token), None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

async fn undelete(daemon: &TestDaemon, token: &str, username: &str) -> Answer {
    let path = format!("/v1/containers/{username}/undelete");
    daemon.ask("POST", &path, Some(token), None).await
}

/// All that tells one answer from another.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
    (answer.status, headers, answer.body.clone())
}

/// The same request about this operation.
fn about(sample: &Sample, operation: &str) -> Sample {
    Sample {
        path: sample.path.replace(OPERATION, operation),
        ..sample.clone()
    }
}

fn has_field(spec: &Spec, name: &str) -> bool {
    spec.path_fields().any(|field| field == name)
}

/// The last operation on a container.
async fn operation_on(daemon: &TestDaemon, username: &str) -> String {
    let path = format!("/v1/operations?limit=1&target={username}");
    let list = daemon.ask_as_admin("GET", &path, None).await.json();
    list["operations"][0]["id"].as_str().unwrap().to_owned()
}

/// What a list shows, by this field.
fn listed(answer: &Answer, list: &str, field: &str) -> BTreeSet<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = answer.json()[list].as_array().unwrap().clone();
    let text = |one: Value| one[field].as_str().unwrap().to_owned();
    all.into_iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outside_a_token_s_names_is_not_there_on_any_route() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(121).await;
    let owner = daemon.token("alice", &[Role::User]);
    for name in ["agent-1", "web"] {
        made(&daemon, &owner, name).await;
    }
    let operation = operation_on(&daemon, "web").await;
    let small = daemon.restricted_token("alice", &[Role::User], "only=agent-*");
    let large = daemon.restricted_token("root", &[Role::Admin], "only=agent-*");
    for token in [&small, &large] {
        let mut met = 0;
        for spec in specs() {
            let (about_container, about_operation) =
                (has_field(&spec, "username"), has_field(&spec, "id"));
            if !about_container && !about_operation {
                continue;
            }
            met += 1;
            // Kept, and so there to be brought back.
            let undeletes = spec.id == "undelete_container";
            if undeletes {
                delete(&daemon, &owner, "web").await;
            }
            let foreign = ask(&daemon, token, &about(&sample(&spec, "web"), &operation)).await;
            // None of that name, of that length, and no operation with that id.
            let missing = ask(&daemon, token, &sample(&spec, "wab")).await;
            let (mut foreign, missing) = (shown(&foreign), shown(&missing));
            foreign.2 = foreign
                .2
                .replace("web", "wab")
                .replace(&operation, OPERATION);
            assert_eq!(foreign.0, 404, "{}: {foreign:?}", spec.id);
            assert_eq!(foreign, missing, "{}", spec.id);
            if undeletes {
                let back = undelete(&daemon, &owner, "web").await;
                assert_eq!(back.status, 200, "{back:?}");
            }
        }
        assert!(
            met >= 12,
            "only {met} endpoints are about a container or an operation"
        );

        let containers = get(&daemon, token, "/v1/containers").await;
        assert_eq!(
            listed(&containers, "containers", "username"),
            names(&["agent-1"])
        );
        assert_eq!(containers.json()["totalCount"], 1);
        let metrics = get(&daemon, token, "/v1/metrics").await;
        assert!(!metrics.body.contains("web"), "{metrics:?}");
        for query in ["", "?limit=1", "?target=web"] {
            let operations = get(&daemon, token, &format!("/v1/operations{query}")).await;
            let targets = listed(&operations, "operations", "target");
            assert!(
                targets.is_subset(&names(&["agent-1"])),
                "{query}: {targets:?}"
            );
            assert_eq!(targets.is_empty(), query == "?target=web", "{query}");
            assert!(!operations.body.contains("nextCursor"), "{operations:?}");
        }
        let scraped = get(&daemon, token, "/metrics").await;
        assert!(scraped.body.contains("\"agent-1\""), "{scraped:?}");
        assert!(!scraped.body.contains("web"), "{scraped:?}");
        assert!(!scraped.body.contains("operation_seconds"), "{scraped:?}");
    }
    // It still has what is its own.
    let seen = get(&daemon, &small, "/v1/containers/agent-1").await;
    assert_eq!(seen.status, 200, "{seen:?}");
    delete(&daemon, &small, "agent-1").await;
    let deleted = get(&daemon, &small, "/v1/containers?state=deleted").await;
    assert_eq!(
        listed(&deleted, "containers", "username"),
        names(&["agent-1"])
    );
    assert_eq!(undelete(&daemon, &small, "agent-1").await.status, 200);
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_other_names_are_not_told() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(122).await;
    let owner = daemon.token("alice", &[Role::User]);
    let small = daemon.restricted_token("root", &[Role::Admin], "only=agent-*");
    let mut heard = Listening::begin(&format!("{}/v1/events", daemon.url), &small, None).await;
    made(&daemon, &owner, "web").await;
    made(&daemon, &owner, "agent-1").await;
    while let Some(message) = heard.next().await {
        let told = message.data.to_string();
        assert!(!told.contains("web"), "{told}");
        let op = &message.data["operation"];
        if op["target"] == "agent-1" && op["state"] == "succeeded" {
            return;
        }
    }
    panic!("the stream ended before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_container_is_not_changed_with_a_token_for_some_names() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(123).await;
    let small = daemon.restricted_token("root", &[Role::Admin], "only=agent-*");
    let mut met = 0;
    for spec in specs() {
        let names_container = spec
            .request
            .get("properties")
            .is_some_and(|all| all.get("username").is_some());
        let shared = spec.path.starts_with("/v1/images") || spec.path.starts_with("/v1/admin/");
        if names_container || !shared {
            continue;
        }
        met += 1;
        let answer = ask(&daemon, &small, &sample(&spec, "agent-1")).await;
        // Images show no names.
        if spec.effect == Effect::Read && spec.path == "/v1/images" {
            assert_eq!(answer.status, 200, "{answer:?}");
            continue;
        }
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "forbidden"),
            "{}: {answer:?}",
            spec.id
        );
        let error = answer.json()["error"].clone();
        assert_eq!(
            error,
            "the token, or the client, is restricted to containers named agent-*"
        );
    }
    assert!(met >= 7, "only {met} endpoints are about what is shared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_outside_is_not_created_and_the_refusal_says_which_are() {
    let Installed { daemon, there } = Installed::new(124).await;
    let small = daemon.restricted_token("alice", &[Role::User], "only=agent-*,bob");
    let refused = create(&daemon, &small, "web").await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (403, "forbidden"),
        "{refused:?}"
    );
    let told = refused.json();
    assert_eq!(
        told["error"],
        "the token, or the client, is restricted to containers named agent-* or bob"
    );
    assert_eq!(told["hint"], "write `username` like agent-1");
    made(&daemon, &small, "bob").await;
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_token_s_request_opens_nothing() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(125).await;
    let owner = daemon.token("alice", &[Role::User]);
    let small = daemon.restricted_token("alice", &[Role::User], "only=agent-*");
    let key = [("idempotency-key", "the-same")];
    let made = create_with(&daemon, &owner, "web", &key).await;
    assert_eq!(made.status, 201, "{made:?}");
    let again = create_with(&daemon, &owner, "web", &key).await;
    assert_eq!(again.body, made.body);
    let refused = create_with(&daemon, &small, "web", &key).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(!refused.body.contains("web-container"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_token_changes_nothing_on_any_route() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(126).await;
    let owner = daemon.token("alice", &[Role::User]);
    made(&daemon, &owner, "web").await;
    let operation = operation_on(&daemon, "web").await;
    let looker = daemon.restricted_token("root", &[Role::Admin], "read-only");
    let own = daemon.restricted_token("alice", &[Role::User], "read-only");
    for spec in specs() {
        if spec.stream == Some(StreamKind::Events) {
            continue;
        }
        let ask_about = about(&sample(&spec, "web"), &operation);
        for token in [&looker, &own] {
            let answer = ask(&daemon, token, &ask_about).await;
            match spec.effect {
                Effect::Read if token == &own && spec.path.starts_with("/v1/admin/") => {
                    assert_eq!(answer.status, 403, "{}: {answer:?}", spec.id);
                }
                Effect::Read => {
                    assert_eq!(answer.status, spec.status, "{}: {answer:?}", spec.id);
                }
                Effect::Write | Effect::Destroy => {
                    assert_eq!(
                        (answer.status, answer.reason().as_str()),
                        (403, "forbidden"),
                        "{}: {answer:?}",
                        spec.id
                    );
                    let error = answer.json()["error"].clone();
                    assert_eq!(
                        error, "the token, or the client, is read-only: nothing is changed",
                        "{}",
                        spec.id
                    );
                }
            }
        }
    }
    let operations = daemon.ask_as_admin("GET", "/v1/operations", None).await;
    assert_eq!(operations.json()["operations"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creates_at_once_exactly_as_many_as_may_be_are_made() {
    let Installed { daemon, there } = Installed::new(127).await;
    // Neither another's nor what is outside its names counts.
    made(&daemon, &daemon.admin_token(), "agent-bob").await;
    let owner = daemon.token("alice", &[Role::User]);
    made(&daemon, &owner, "web").await;
    let small = daemon.restricted_token("alice", &[Role::User], "only=agent-*; max=5");
    let all: Vec<String> = (0..20).map(|n| format!("agent-{n}")).collect();
    let asked = all.iter().map(|name| create(&daemon, &small, name));
    let answers = join_all(asked).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == 201);
    assert_eq!((made.len(), refused.len()), (5, 15), "{answers:?}");
    for one in refused {
        assert_eq!((one.status, one.reason().as_str()), (403, "quota_exceeded"));
        assert_eq!(
            one.json()["error"],
            "the token, or the client, is restricted to 5 containers, and there are 5"
        );
    }
    assert_eq!(there.incus.instances().await.unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_there_is_answered_again_although_no_more_may_be() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(128).await;
    let small = daemon.restricted_token("alice", &[Role::User], "max=1");
    let key = [("idempotency-key", "first")];
    let first = create_with(&daemon, &small, "one", &key).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = create_with(&daemon, &small, "one", &key).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    // That its name is taken is the nearer reason.
    assert_eq!(
        create(&daemon, &small, "one").await.reason(),
        "already_exists"
    );
    assert_eq!(
        create(&daemon, &small, "two").await.reason(),
        "quota_exceeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_back_counts_and_what_is_only_kept_does_not() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(129).await;
    let small = daemon.restricted_token("alice", &[Role::User], "max=2");
    for name in ["one", "two"] {
        made(&daemon, &small, name).await;
    }
    for name in ["one", "two"] {
        delete(&daemon, &small, name).await;
    }
    made(&daemon, &small, "three").await;
    let back = ["one", "two"].map(|name| undelete(&daemon, &small, name));
    let mut statuses: Vec<u16> = join_all(back).await.iter().map(|one| one.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "one place was left");
    let list = get(&daemon, &small, "/v1/containers").await;
    assert_eq!(list.json()["totalCount"], 2);
    assert_eq!(
        create(&daemon, &small, "four").await.reason(),
        "quota_exceeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_only_tightens() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(130).await;
    let small = daemon.restricted_token("alice", &[Role::User], "only=agent-*; max=2; read-only");
    let owner = daemon.token("alice", &[Role::User]);
    for name in ["agent-1", "agent-2", "web"] {
        made(&daemon, &owner, name).await;
    }
    let ask = async |token: &str, said: &str, method: &str, path: &str| {
        let headers = [(Restrictions::HEADER, said)];
        daemon
            .ask_with(method, path, Some(token), None, &headers)
            .await
    };
    let seen = async |token: &str, said: &str| {
        let list = ask(token, said, "GET", "/v1/containers").await;
        listed(&list, "containers", "username")
    };
    assert_eq!(seen(&small, "only=agent-2,web").await, names(&["agent-2"]));
    assert_eq!(seen(&small, "max=9").await, names(&["agent-1", "agent-2"]));
    assert_eq!(seen(&small, "only=web").await, names(&[]));
    assert_eq!(seen(&owner, "only=web").await, names(&["web"]));
    let hidden = ask(&owner, "only=web", "GET", "/v1/containers/agent-1").await;
    assert_eq!(hidden.status, 404, "{hidden:?}");
    let stop = "/v1/containers/agent-1/stop";
    assert_eq!(ask(&small, "max=9", "POST", stop).await.status, 403);
    assert_eq!(ask(&owner, "read-only", "POST", stop).await.status, 403);

    // Narrower names do not make room for more than the token may have.
    let full = daemon.restricted_token("alice", &[Role::User], "only=agent-*; max=2");
    for said in ["only=agent-3", "max=9", "only=agent-3; max=9"] {
        let headers = [(Restrictions::HEADER, said)];
        let refused = create_with(&daemon, &full, "agent-3", &headers).await;
        assert_eq!(refused.reason(), "quota_exceeded", "{said}: {refused:?}");
        assert_eq!(
            refused.json()["error"],
            "the token, or the client, is restricted to 2 containers, and there are 2"
        );
    }
    // A header's own number counts what the token sees, too.
    let wide = daemon.restricted_token("alice", &[Role::User], "only=agent-*");
    let headers = [(Restrictions::HEADER, "max=3")];
    assert_eq!(
        create_with(&daemon, &wide, "agent-3", &headers)
            .await
            .status,
        201
    );
    assert_eq!(
        create_with(&daemon, &wide, "agent-4", &headers)
            .await
            .status,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_understood_refuses_every_request() {
    let Installed {
        daemon,
        there: _there,
    } = Installed::new(131).await;
    let admin = daemon.admin_token();
    for said in ["", "readonly", "only=*", "max=many", "read-only; max"] {
        for path in [
            "/v1/containers",
            "/v1/events",
            "/v1/system/info",
            "/metrics",
        ] {
            let headers = [(Restrictions::HEADER, said)];
            let refused = daemon
                .ask_with("GET", path, Some(&admin), None, &headers)
                .await;
            assert_eq!(
                (refused.status, refused.reason().as_str()),
                (400, "malformed"),
                "{path} {said:?}: {refused:?}"
            );
            assert!(
                refused.body.contains("containarium-restrict"),
                "{refused:?}"
            );
        }
    }
    // Who has no good token is told no more than before.
    let headers = [(Restrictions::HEADER, "readonly")];
    let refused = daemon
        .ask_with("GET", "/v1/containers", Some("eyJ"), None, &headers)
        .await;
    assert_eq!(refused.status, 401, "{refused:?}");
}
