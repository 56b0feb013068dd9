//! An operation is followed to its end, whatever happens on the way, and told as the call itself
//! would have told it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::script::{Asked, Does, Script};
use containarium_client::{Begun, CallError, Client, Token, doing};
use containarium_contract::{DeleteContainer, Face, Operation, OperationState};
use serde_json::{Value, json};

const ID: &str = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC";
const PROBLEM: &str = r#"{"error":"no space is left","code":507,"reason":"insufficient_storage","hint":"run `containarium list`"}"#;

fn client(script: &Script) -> Client {
    Client::new(&script.url, Token::fixed("t"), Face::Cli).unwrap()
}

fn delete() -> DeleteContainer {
    DeleteContainer {
        username: "alice".parse().unwrap(),
        force: false,
        purge: false,
        id: None,
        only_kept: false,
    }
}

fn deleted() -> Value {
    json!({"message": "it is deleted", "containerName": "alice-container", "deletedUntil": null})
}

fn operation(state: &str, changes: Value) -> Value {
    let mut operation = json!({
        "id": ID, "kind": "delete", "target": "alice", "state": state, "steps": [],
        "progress": 10, "attempt": 1, "deadline": "d", "cause": "c", "actor": "alice",
        "createdAt": "c", "updatedAt": "u"
    });
    for (key, value) in changes.as_object().unwrap() {
        operation[key] = value.clone();
    }
    operation
}

fn at_step(name: &str) -> Value {
    operation(
        "running",
        json!({"steps": [{"name": name, "state": "running"}]}),
    )
}

fn answer(status: u16, operation: &Value) -> Does {
    Does::Answers(status, json!({ "operation": operation }).to_string())
}

fn is(asked: &Asked, what: &str) -> bool {
    asked.line.starts_with(what)
}

const BEGIN: &str = "DELETE /v1/containers/alice";
const EVENTS: &str = "GET /v1/events?target=alice";

fn wait() -> String {
    format!("GET /v1/operations/{ID}/wait?timeout=")
}

#[tokio::test]
async fn every_change_of_an_operation_is_told_once_and_its_result_is_the_answer() {
    let waits = AtomicUsize::new(0);
    let script = Script::new(move |_, asked| {
        if is(asked, BEGIN) {
            assert_eq!(asked.header("prefer"), Some("respond-async"));
            answer(202, &operation("queued", json!({})))
        } else if is(asked, EVENTS) {
            let mut other = at_step("not ours");
            other["id"] = json!("01JD3ZQ8M4K6T1W9V5R2X7Y0BD");
            let events = [&other, &at_step("stop"), &at_step("stop"), &at_step("keep")];
            let events = events.map(|operation| {
                let data = json!({"type": "operation", "operation": operation});
                format!("id: 1\ndata: {data}\n\n")
            });
            Does::Streams {
                text: events.concat(),
                stays: true,
            }
        } else if is(asked, &wait()) {
            match waits.fetch_add(1, Ordering::SeqCst) {
                0 => answer(200, &at_step("keep")),
                _ => answer(200, &operation("succeeded", json!({"result": deleted()}))),
            }
        } else {
            assert_eq!(asked.line, format!("GET /v1/operations/{ID}"));
            answer(200, &at_step("stop"))
        }
    })
    .await;
    let mut told = Vec::new();
    let note = |operation: &Operation| told.push((operation.state, doing(operation)));
    let answer = client(&script).follow(&delete(), note).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), deleted());
    let running = |step: &str| (OperationState::Running, Some(step.to_owned()));
    assert_eq!(
        told,
        [
            (
                OperationState::Queued,
                Some("waiting for its turn".to_owned())
            ),
            running("stop"),
            running("keep"),
            (OperationState::Succeeded, None),
        ]
    );
}

#[tokio::test]
async fn where_there_are_no_events_the_operation_is_looked_at() {
    let looks = AtomicUsize::new(0);
    let script = Script::new(move |_, asked| {
        if is(asked, BEGIN) {
            answer(202, &operation("running", json!({})))
        } else if is(asked, EVENTS) {
            Does::Answers(404, "{}".into())
        } else if is(asked, &wait()) {
            match looks.load(Ordering::SeqCst) {
                // A second look comes after the first was read.
                0 | 1 => answer(200, &operation("running", json!({}))),
                _ => answer(200, &operation("succeeded", json!({"result": deleted()}))),
            }
        } else {
            looks.fetch_add(1, Ordering::SeqCst);
            answer(200, &at_step("keep"))
        }
    })
    .await;
    let mut told = Vec::new();
    let note = |operation: &Operation| told.extend(doing(operation));
    client(&script).follow(&delete(), note).await.unwrap();
    assert_eq!(told, ["keep"]);
}

#[tokio::test]
async fn a_failure_reads_to_the_letter_as_the_call_itself_would_have() {
    let sync = Script::new(|_, _| Does::Answers(507, PROBLEM.into())).await;
    let told = client(&sync).call(&delete()).await.unwrap_err();
    let problem: Value = serde_json::from_str(PROBLEM).unwrap();
    let failed = operation("failed", json!({ "error": problem }));
    let script = Script::new(move |_, asked| {
        if is(asked, BEGIN) {
            answer(202, &operation("running", json!({})))
        } else {
            answer(200, &failed)
        }
    })
    .await;
    for error in [
        client(&script).finish(&delete(), |_| {}).await.unwrap_err(),
        client(&script).follow(&delete(), |_| {}).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), told.to_string());
        assert_eq!(
            error.to_string(),
            format!("API error (status 507): {PROBLEM}")
        );
        assert_eq!(error.hint(), told.hint());
    }
}

#[tokio::test]
async fn a_cancelled_operation_is_a_conflict() {
    let script = Script::new(|_, _| answer(202, &operation("cancelled", json!({})))).await;
    let error = client(&script).finish(&delete(), |_| {}).await.unwrap_err();
    assert!(
        error.to_string().contains(r#""reason":"cancelled""#),
        "{error}"
    );
    assert_eq!(script.asked().len(), 1, "what is over is not waited for");
}

#[tokio::test]
async fn a_daemon_that_is_restarted_meanwhile_is_waited_for() {
    let script = Script::new(|n, _| match n {
        0 => answer(202, &operation("running", json!({}))),
        1 => Does::Breaks,
        2 => Does::Answers(502, "<html>nobody behind me</html>".into()),
        _ => answer(200, &operation("succeeded", json!({"result": deleted()}))),
    })
    .await;
    let done = client(&script).finish(&delete(), |_| {}).await.unwrap();
    assert_eq!(done.message, "it is deleted");
    assert_eq!(script.lines()[1..], vec![format!("{}30", wait()); 3]);
}

#[tokio::test]
async fn a_daemon_that_always_waits_gives_its_answer() {
    let script = Script::new(|_, _| Does::Answers(200, deleted().to_string())).await;
    let client = client(&script);
    let mut told = 0;
    let done = client.follow(&delete(), |_| told += 1).await.unwrap();
    assert_eq!(serde_json::to_value(done).unwrap(), deleted());
    assert_eq!(told, 0);
    assert!(matches!(
        client.call_async(&delete()).await.unwrap(),
        Begun::Done(_)
    ));
    assert_eq!(script.lines(), vec![format!("{BEGIN}?force=false"); 2]);
}

#[tokio::test]
async fn what_is_not_over_in_time_is_told_with_its_operation() {
    let script = Script::new(|_, asked| match is(asked, BEGIN) {
        true => answer(202, &operation("running", json!({}))),
        false => answer(200, &operation("running", json!({}))),
    })
    .await;
    let hasty = client(&script).impatient(std::time::Duration::from_millis(1200));
    let error = hasty.finish(&delete(), |_| {}).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains(ID));
}

#[test]
fn a_step_is_told_in_its_own_words_and_with_its_share() {
    let operation: Operation = serde_json::from_value(operation(
        "running",
        json!({"steps": [
            {"name": "claim", "state": "succeeded"},
            {"name": "prepare_image", "state": "running", "doing": "downloading images:debian/13",
             "progress": 40},
        ]}),
    ))
    .unwrap();
    assert_eq!(
        doing(&operation).unwrap(),
        "downloading images:debian/13, 40 %"
    );
}
