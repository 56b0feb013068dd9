//! The traps of Incus's envelope and socket, each played by a listener that says exactly what the
//! test wrote. Behaviour of a real incusd is in `incusd.rs`.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use containarium_incus::{Client, Error, Operation, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

enum Say {
    /// An HTTP answer with this status and JSON.
    Json(u16, String),
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

struct Engine {
    client: Client,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    fn that_says(script: impl IntoIterator<Item = Say>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Vec<_> = script.into_iter().collect();
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            for say in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = request(&mut stream).await;
                heard.lock().unwrap().push(request);
                let bytes = match say {
                    Say::Json(status, json) => format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\
                         Content-Length: {}\r\n\r\n{json}",
                        json.len()
                    )
                    .into_bytes(),
                    Say::Raw(bytes) => bytes,
                    Say::Silence => std::future::pending().await,
                };
                // The client may hang up first; that is its right.
                let _gone = stream.write_all(&bytes).await;
            }
        });
        Self {
            client: Client::unix(socket),
            asked,
            task,
            _dir: dir,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request and drops its body; answers with its first line.
async fn request(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    head.lines()
        .next()
        .unwrap()
        .trim_end_matches(" HTTP/1.1")
        .to_owned()
}

fn no(http: u16, code: u16, text: &str) -> Say {
    let json =
        serde_json::json!({"type": "error", "error_code": code, "error": text, "metadata": null});
    Say::Json(http, json.to_string())
}

fn operation(status: u16, err: &str) -> Say {
    let metadata =
        serde_json::json!({"id": "u1", "status_code": status, "err": err, "resources": null});
    let json =
        serde_json::json!({"type": "sync", "error_code": 0, "error": "", "metadata": metadata});
    Say::Json(200, json.to_string())
}

fn running() -> Operation {
    Operation {
        id: "u1".to_owned(),
        status_code: StatusCode::RUNNING,
        ..Operation::default()
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_error_with_http_200_is_an_error() {
    let engine = Engine::that_says([no(200, 500, "Image not provided for instance creation")]);
    let error = engine.client.server().await.unwrap_err();
    assert!(matches!(error, Error::ImageNotProvided(_)), "{error:?}");
}

#[tokio::test]
async fn a_wait_that_runs_out_of_time_is_asked_again() {
    let engine = Engine::that_says([
        no(200, 500, "context deadline exceeded"),
        operation(103, ""),
        operation(200, ""),
    ]);
    let ended = engine
        .client
        .in_project("p")
        .wait(&running(), LONG)
        .await
        .unwrap();
    assert!(ended.status_code.is_success());
    let asked = engine.asked();
    assert!(
        asked[0].starts_with("GET /1.0/operations/u1/wait?project=p&timeout="),
        "{asked:?}"
    );
    assert_eq!(asked[1], "GET /1.0/operations/u1?project=p");
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn an_operation_that_itself_ran_out_of_time_has_failed() {
    let text = "context deadline exceeded";
    let engine = Engine::that_says([no(200, 500, text), operation(400, text)]);
    let error = engine.client.wait(&running(), LONG).await.unwrap_err();
    assert!(
        matches!(&error, Error::OperationFailed(why) if why == text),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_operation_that_ended_well_meanwhile_has_ended_well() {
    let engine = Engine::that_says([
        no(200, 500, "context deadline exceeded"),
        operation(200, ""),
    ]);
    assert!(engine.client.wait(&running(), LONG).await.is_ok());
}

#[tokio::test]
async fn a_record_that_is_gone_leaves_the_outcome_unknown() {
    let gone = || no(404, 404, "Operation not found");
    let engine = Engine::that_says([gone(), gone()]);
    let error = engine.client.wait(&running(), LONG).await.unwrap_err();
    assert!(
        matches!(&error, Error::OperationVanished(id) if id == "u1"),
        "{error:?}"
    );
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_late_404_is_about_what_the_operation_needed() {
    let engine = Engine::that_says([no(200, 404, "Storage pool not found"), operation(400, "…")]);
    let error = engine.client.wait(&running(), LONG).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotFound(what) if what == "Storage pool not found"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_silent_engine_costs_the_deadline_and_no_more() {
    let engine = Engine::that_says([Say::Silence]);
    let error = engine
        .client
        .wait(&running(), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_does_not_hold_a_plain_read() {
    let engine = Engine::that_says([Say::Silence]);
    let error = engine.client.server().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_cut_in_its_body_is_no_answer() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"type\":\"sync\"".to_vec();
    let engine = Engine::that_says([Say::Raw(cut)]);
    let error = engine.client.server().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_leaves_the_outcome_unknown() {
    let engine = Engine::that_says([Say::Raw(Vec::new())]);
    let error = engine.client.server().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let mut long = b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n".to_vec();
    long.resize(40_000_000, b' ');
    let engine = Engine::that_says([Say::Raw(long)]);
    let error = engine.client.server().await.unwrap_err();
    assert!(
        matches!(&error, Error::Protocol(why) if why.contains("more than")),
        "{error:?}"
    );
}

#[tokio::test]
async fn only_the_end_of_a_console_is_kept() {
    let mut log = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n".to_vec();
    log.resize(log.len() + 300_000, b'.');
    log.extend_from_slice(b"the end");
    let engine = Engine::that_says([Say::Raw(log)]);
    let log = engine.client.console_log("a").await.unwrap();
    assert_eq!(log.len(), 64 << 10);
    assert!(log.ends_with(".the end"));
}

#[tokio::test]
async fn the_console_of_an_instance_never_started_is_empty() {
    let engine = Engine::that_says([Say::Json(200, String::new())]);
    assert_eq!(engine.client.console_log("a").await.unwrap(), "");
}

#[tokio::test]
async fn something_else_on_the_socket_is_not_taken_for_incus() {
    let engine = Engine::that_says([Say::Json(502, "<html>bad gateway</html>".to_owned())]);
    let error = engine.client.server().await.unwrap_err();
    assert!(
        matches!(&error, Error::Protocol(why) if why.contains("502")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_socket_nobody_listens_on_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::unix(dir.path().join("none"))
        .server()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(!error.outcome_unknown());
}

#[tokio::test]
async fn an_alias_that_is_not_there_yet_is_made() {
    let engine = Engine::that_says([no(404, 404, "Image alias not found"), operation(200, "")]);
    engine.client.put_image_alias("base", "f00").await.unwrap();
    let asked = engine.asked();
    assert_eq!(
        asked,
        ["PUT /1.0/images/aliases/base", "POST /1.0/images/aliases"]
    );
}
