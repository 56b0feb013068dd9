//! What is under way, as scripts meet it: operations that are begun, waited for and failed, deletes
//! that are for good, events, leaks.

use std::process::Stdio;

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

use super::{daemon, run, text};

const ID: &str = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC";

fn operation(state: &str, changes: Value) -> Value {
    let mut operation = json!({
        "id": ID, "kind": "create", "target": "alice", "state": state, "steps": [],
        "progress": 10, "attempt": 1, "deadline": "d", "cause": "c", "actor": "alice",
        "createdAt": "c", "updatedAt": "u"
    });
    for (key, value) in changes.as_object().unwrap() {
        operation[key] = value.clone();
    }
    json!({ "operation": operation })
}

/// A daemon that begins what is asked for, and says of its operation what `end` is.
async fn beginning(end: Value) -> String {
    let app = Router::new().fallback(async move |request: Request| {
        let changes = ["POST", "DELETE"].contains(&request.method().as_str());
        if changes {
            assert_eq!(request.headers()["prefer"], "respond-async");
            assert_eq!(request.headers()["idempotency-key"].len(), 26);
            let begun = operation("running", json!({})).to_string();
            (StatusCode::ACCEPTED, begun)
        } else {
            (StatusCode::OK, end.to_string())
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn taken() -> Value {
    let problem = json!({"error": "alice is taken", "code": 409, "reason": "already_exists",
                         "hint": "run `containarium list`"});
    operation("failed", json!({ "error": problem }))
}

#[tokio::test]
async fn a_create_that_is_not_waited_for_names_its_operation() {
    let url = beginning(json!({})).await;
    let told = run(&url, "create alice --no-wait").await;
    assert_eq!(
        text(&told.stdout),
        format!(
            "create of alice: operation {ID}\n\
             follow it:  containarium operation wait {ID}\n"
        )
    );
    assert_eq!(told.status.code(), Some(0));
    let told = run(&url, "create alice --no-wait -o json").await;
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told, operation("running", json!({})));
}

#[tokio::test]
async fn a_change_ends_as_its_operation_does() {
    let deleted = json!({"message": "it is deleted until tomorrow", "containerName": "c",
                         "deletedUntil": "2026-11-22T10:00:00Z"});
    let done = operation("succeeded", json!({ "result": deleted }));
    let told = run(&beginning(done).await, "delete alice --yes").await;
    assert_eq!(text(&told.stdout), "it is deleted until tomorrow\n");
    assert_eq!((text(&told.stderr), told.status.code()), ("", Some(0)));

    let url = beginning(taken()).await;
    for line in ["create alice".to_owned(), format!("operation wait {ID}")] {
        let told = run(&url, &line).await;
        assert_eq!(told.status.code(), Some(5), "{line}");
        assert_eq!(text(&told.stdout), "", "{line}");
        assert_eq!(
            text(&told.stderr),
            "error: alice is taken\nhint: run `containarium list`\n",
            "{line}"
        );
    }
    // Programs get the operation as well.
    let told = run(&url, &format!("operation wait {ID} -o json")).await;
    assert_eq!(told.status.code(), Some(5));
    let json: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(json, taken());
}

#[tokio::test]
async fn waiting_ends_with_the_message_or_with_the_time() {
    let done = operation(
        "succeeded",
        json!({"result": {"message": "alice is ready"}}),
    );
    let told = run(&beginning(done).await, &format!("operation wait {ID}")).await;
    assert_eq!(text(&told.stdout), "alice is ready\n");
    let running = operation("running", json!({}));
    let line = format!("operation wait {ID} --timeout 1s");
    let told = run(&beginning(running).await, &line).await;
    assert_eq!(told.status.code(), Some(1));
    assert_eq!(
        text(&told.stderr),
        format!(
            "error: create of alice is not over after 1s\n\
             hint: see how far it is: `containarium operation get {ID}`\n"
        )
    );
}

#[tokio::test]
async fn what_is_for_good_needs_a_yes_where_nobody_can_be_asked() {
    let url = daemon(500, "{}").await;
    for (line, hint) in [
        (
            "delete alice --force --purge",
            "containarium delete alice --force --purge --yes",
        ),
        ("admin purge c-1", "containarium admin purge c-1 --yes"),
    ] {
        let told = run(&url, line).await;
        assert_eq!(told.status.code(), Some(2), "{line}");
        let stderr = text(&told.stderr);
        assert!(
            stderr.ends_with(&format!("hint: run `{hint}`\n")),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn leaks_end_with_a_code_of_their_own() {
    let leak = json!({"kind": "instance", "name": "c-1", "detail": "nobody's"});
    for (leaks, engine, code, stdout) in [
        (json!([]), "ok", 0, "nothing is left behind\n"),
        (json!([]), "unreachable", 7, "not known\n"),
        (
            json!([leak]),
            "ok",
            8,
            "KIND      NAME  DETAIL\ninstance  c-1   nobody's\n",
        ),
    ] {
        let url = daemon(200, json!({"leaks": leaks, "engine": engine}).to_string()).await;
        let told = run(&url, "admin leaks").await;
        assert_eq!(told.status.code(), Some(code), "{told:?}");
        assert_eq!(text(&told.stdout), stdout);
        assert_eq!(text(&told.stderr).is_empty(), code == 0);
    }
}

#[tokio::test]
async fn events_are_a_line_each_as_they_come() {
    let event = json!({"type": "container", "username": "alice", "state": "running", "at": "t"});
    let stream = format!(": hello\n\nid: 41\nevent: container\ndata: {event}\n\n");
    let app = Router::new().fallback(async move |request: Request| {
        assert_eq!(request.uri().to_string(), "/v1/events?target=alice");
        // Again where it broke off, and from where the person said at first.
        let last = request.headers()["last-event-id"].to_str().unwrap();
        assert!(["40", "41"].contains(&last), "{last}");
        ([(header::CONTENT_TYPE, "text/event-stream")], stream)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut json = event;
    json["id"] = json!("41");
    for (format, wanted) in [
        ("table", "41  t  alice-container is running".to_owned()),
        ("json", json.to_string()),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_containarium"))
            .args(["events", "--target", "alice", "--since", "40", "-o", format])
            .env_clear()
            .env("CONTAINARIUM_SERVER_URL", &url)
            .env("CONTAINARIUM_JWT_TOKEN", "eyJtest")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        for _ in 0..2 {
            let line = lines.next_line().await.unwrap().unwrap();
            if format == "json" {
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line.to_string(), wanted);
            } else {
                assert_eq!(line, wanted);
            }
        }
    }
}
