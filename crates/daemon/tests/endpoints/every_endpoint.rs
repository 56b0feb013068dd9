//! Every endpoint: who is let in, what foreigners learn, what junk gets, and that its own sample
//! comes through.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use containarium_contract::{Effect, INVALID_TOKEN, Spec, StreamKind};
use containarium_core::{Principal, Role, token};
use containarium_daemon::specs;
use containarium_testkit::{Answer, TestDaemon};
use serde_json::{Map, Value, json};

use crate::{
    installed::Installed,
    sample::{OPERATION, Sample, sample, with_fields},
};

const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI0000000000000000000000000000000000000000007";

/// What makes a request one for a WebSocket.
pub(crate) const WEBSOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn ask(daemon: &TestDaemon, token: Option<&str>, ask: &Sample) -> Answer {
    // What is no stream does not mind.
    let headers: &[_] = if ask.method == "GET" { &WEBSOCKET } else { &[] };
    daemon
        .ask_with(&ask.method, &ask.path, token, ask.body.as_deref(), headers)
        .await
}

/// What every answer looks like that is a problem.
fn must_be_problem(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{what}"
    );
    assert!(answer.header("x-request-id").is_some(), "{what}");
    let body = answer.json();
    assert_eq!(body["code"], status, "{what}");
    assert!(
        body["error"].as_str().is_some_and(|e| !e.is_empty()),
        "{what}: {body}"
    );
    assert_eq!(
        body.get("requestId").is_some(),
        status >= 500,
        "{what}: {body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_every_endpoint_says_the_same() {
    let here = Installed::new(201).await.with_alice().await;
    let admin = Principal {
        subject: "admin".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let hour = Duration::from_secs(3600);
    let foreign = token::mint(
        &b"another secret".to_vec().into(),
        &admin,
        now,
        hour,
        ulid::Ulid::nil(),
    );
    let good = here.daemon.admin_token();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let bad = [
        None,
        Some(String::new()),
        Some("eyJ".into()),
        Some(foreign.unwrap()),
        Some(format!(
            "{head}.{}",
            signature.replace(|c: char| c.is_ascii_digit(), "A") + "A"
        )),
        Some(format!("{good}.")),
    ];
    for spec in specs() {
        for token in &bad {
            let answer = ask(&here.daemon, token.as_deref(), &sample(&spec, "alice")).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (401, INVALID_TOKEN),
                "{}",
                spec.id
            );
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer"),
                "{}",
                spec.id
            );
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{}",
                spec.id
            );
        }
    }
}

/// The same request about the operation that was begun last.
async fn about_last_operation(here: &Installed, sample: Sample) -> Sample {
    let list = here
        .daemon
        .ask_as_admin("GET", "/v1/operations?limit=1", None);
    let list = list.await.json();
    let id = list["operations"][0]["id"].as_str().unwrap_or(OPERATION);
    Sample {
        path: sample.path.replace(OPERATION, id),
        ..sample
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_everything_and_changes_nothing() {
    let here = Installed::new(202).await.with_alice().await;
    let viewer = here.daemon.token("eve", &[Role::Viewer]);
    for spec in specs() {
        if spec.stream == Some(StreamKind::Events) {
            // It does not end; `events.rs` listens.
            continue;
        }
        let sample = about_last_operation(&here, sample(&spec, "alice")).await;
        let answer = ask(&here.daemon, Some(&viewer), &sample).await;
        match spec.effect {
            Effect::Read if spec.path.starts_with("/v1/admin/") => {
                must_be_problem(&answer, 403, spec.id);
            }
            Effect::Read => assert_eq!(answer.status, spec.status, "{}: {answer:?}", spec.id),
            Effect::Write | Effect::Destroy => {
                must_be_problem(&answer, 403, spec.id);
                assert_eq!(answer.reason(), "forbidden", "{}", spec.id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_container_reads_as_a_missing_one() {
    let here = Installed::new(204).await.with_alice().await;
    let mallory = here.daemon.token("mallory", &[Role::User]);
    let about_one: Vec<_> = specs()
        .into_iter()
        .filter(|s| s.path_fields().any(|field| field == "username"))
        .collect();
    assert!(about_one.len() >= 5);
    let mut foreign = Vec::new();
    for spec in &about_one {
        foreign.push(ask(&here.daemon, Some(&mallory), &sample(spec, "alice")).await);
    }
    here.daemon.delete("alice").await;
    for (spec, foreign) in about_one.iter().zip(foreign) {
        let missing = ask(&here.daemon, Some(&mallory), &sample(spec, "alice")).await;
        must_be_problem(&missing, 404, spec.id);
        let shown = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
            (answer.status, headers, answer.body.clone())
        };
        assert_eq!(shown(&foreign), shown(&missing), "{}", spec.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_is_told_to_be_junk() {
    let here = Installed::new(205).await;
    let admin = here.daemon.admin_token();
    for spec in specs() {
        let unknown = with_fields(
            &spec,
            "alice",
            Map::from_iter([("nosuch".to_owned(), json!(1))]),
        );
        let mut junk = vec![unknown];
        if spec.has_body() {
            let plain = with_fields(&spec, "alice", Map::new());
            for body in [
                "{",
                "[]",
                "null",
                "\"x\"",
                "{\"a\":1}{",
                "\u{0}",
                "{\"username\":{}}",
            ] {
                junk.push(Sample {
                    body: Some(body.to_owned()),
                    ..plain.clone()
                });
            }
            junk.push(Sample {
                path: format!("{}?nosuch=1", plain.path),
                ..plain
            });
        }
        for sample in junk {
            let answer = ask(&here.daemon, Some(&admin), &sample).await;
            must_be_problem(&answer, 400, &format!("{} {sample:?}", spec.id));
            assert_eq!(answer.reason(), "malformed", "{}", spec.id);
        }
    }
    here.must_be_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_unread() {
    let here = Installed::new(206).await;
    let admin = here.daemon.admin_token();
    for spec in specs().iter().filter(|spec| spec.has_body()) {
        let plain = with_fields(spec, "alice", Map::new());
        let long = Sample {
            body: Some(format!("\"{}\"", "x".repeat(2 << 20))),
            ..plain
        };
        must_be_problem(&ask(&here.daemon, Some(&admin), &long).await, 413, spec.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_and_an_unknown_path_are_problems_too() {
    let here = Installed::new(207).await;
    let admin = here.daemon.admin_token();
    for spec in specs() {
        let path = sample(&spec, "alice").path;
        let answer = here.daemon.ask("PATCH", &path, Some(&admin), None).await;
        must_be_problem(&answer, 405, spec.id);
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allow.contains(spec.method.as_str()), "{}: {allow}", spec.id);
        let beyond = format!("{}/nosuch/thing", path.split('?').next().unwrap());
        must_be_problem(
            &here.daemon.ask("GET", &beyond, Some(&admin), None).await,
            404,
            spec.id,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_made_from_the_schema_survives_the_wire() {
    let mut here = Installed::new(208).await;
    for spec in specs() {
        if spec.id == "create_container" {
            let list = here
                .daemon
                .ask_as_admin("GET", "/v1/containers/alice", None)
                .await;
            if list.status == 200 {
                here.daemon.delete("alice").await;
            }
        } else {
            here = here.with_alice().await;
        }
        if spec.id == "delete_container" {
            here.daemon
                .ask_as_admin("POST", "/v1/containers/alice/stop", None)
                .await;
        }
        if spec.id == "remove_ssh_key" {
            // The last one would need force.
            let more = json!({"key": OTHER_KEY});
            here.daemon
                .ask_as_admin("POST", "/v1/containers/alice/ssh-keys", Some(more))
                .await;
        }
        if spec.is_web_socket() {
            here.daemon
                .ask_as_admin("POST", "/v1/containers/alice/start", None)
                .await;
        }
        if spec.id == "undelete_container" {
            let path = "/v1/containers/alice?force=true";
            here.daemon.ask_as_admin("DELETE", path, None).await;
        }
        if spec.stream == Some(StreamKind::Events) {
            // It does not end; `events.rs` listens.
            continue;
        }
        let admin = here.daemon.admin_token();
        let sample = about_last_operation(&here, sample(&spec, "alice")).await;
        let answer = ask(&here.daemon, Some(&admin), &sample).await;
        let status = match spec.id {
            // What is over cannot be cancelled, and nothing is unclaimed here.
            "cancel_operation" => 409,
            "purge_unclaimed" => 404,
            _ => spec.status,
        };
        assert_eq!(answer.status, status, "{}: {answer:?}", spec.id);
        if status != spec.status {
            continue;
        }
        if spec.is_web_socket() {
            assert_eq!(
                answer.header("sec-websocket-accept"),
                Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                "{}",
                spec.id
            );
            continue;
        }
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{}",
            spec.id
        );
        // What the schema promises is there.
        let body = answer.json();
        let schema = spec.answer();
        let promised = schema.get("required").and_then(Value::as_array);
        for name in promised.into_iter().flatten() {
            assert!(
                body.get(name.as_str().unwrap()).is_some(),
                "{}: no {name} in {body}",
                spec.id
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_asked_for_as_a_websocket_says_how() {
    let here = Installed::new(209).await.with_alice().await;
    let admin = here.daemon.admin_token();
    let streams = specs().into_iter().filter(Spec::is_web_socket);
    for spec in streams {
        let path = sample(&spec, "alice").path;
        for left_out in 0..WEBSOCKET.len() {
            let mut headers = WEBSOCKET.to_vec();
            headers.remove(left_out);
            let answer = here
                .daemon
                .ask_with("GET", &path, Some(&admin), None, &headers)
                .await;
            must_be_problem(&answer, 400, spec.id);
            assert!(answer.body.contains("Upgrade: websocket"), "{answer:?}");
        }
    }
}
