//! The client against a server that writes down what it was asked.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    response::IntoResponse,
};
use containarium_client::{CallError, Client, Token};
use containarium_contract::{
    CreateContainer, DeleteContainer, Face, GetContainer, GetSystemInfo, INVALID_TOKEN,
    StopContainer,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the server was asked, one line a request.
type Asked = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
struct Fake {
    asked: Asked,
    status: u16,
    answer: String,
}

async fn write_down(State(fake): State<Fake>, request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).map_or("-", |v| v.to_str().unwrap());
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    fake.asked.lock().unwrap().push(format!(
        "{} {} | {} | {} | {}",
        head.method,
        head.uri,
        header("authorization"),
        header("containarium-client"),
        String::from_utf8_lossy(&body)
    ));
    (StatusCode::from_u16(fake.status).unwrap(), fake.answer)
}

async fn serve(status: u16, answer: impl Into<String>) -> (String, Asked) {
    let asked = Asked::default();
    let fake = Fake {
        asked: asked.clone(),
        status,
        answer: answer.into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(write_down).with_state(fake);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

fn client(url: &str) -> Client {
    Client::new(url, Token::fixed("eyJtoken"), Face::Cli).unwrap()
}

fn create() -> CreateContainer {
    serde_json::from_value(json!({ "username": "alice", "labels": {"team": "red"} })).unwrap()
}

fn info() -> Value {
    json!({ "info": { "engine": "ok", "defaultImage": "images:ubuntu/24.04", "containersTotal": 3 } })
}

#[tokio::test]
async fn a_request_carries_the_token_the_face_and_its_fields() {
    let (url, asked) = serve(200, info().to_string()).await;
    let client = client(&url);
    let answer = client.call(&GetSystemInfo {}).await.unwrap();
    assert_eq!(answer.info.containers_total, 3);
    let username: containarium_contract::Username = "alice".parse().unwrap();
    // The answers do not fit these; what was sent is what is looked at.
    let _ = client.call(&create()).await;
    let _ = client
        .call(&DeleteContainer {
            username: username.clone(),
            force: true,
            purge: false,
            id: None,
            only_kept: false,
        })
        .await;
    let _ = client
        .call(&StopContainer {
            username,
            force: false,
            timeout: 30,
        })
        .await;
    let resources = r#""resources":{"cpu":"4","disk":"50GB","memory":"4GB"},"sshKeys":[]"#;
    let asked: Vec<String> = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "GET /v1/system/info | Bearer eyJtoken | cli | ".to_owned(),
            format!(
                "POST /v1/containers | Bearer eyJtoken | cli | \
                 {{\"enableDocker\":true,\"labels\":{{\"team\":\"red\"}},{resources},\
                 \"username\":\"alice\"}}"
            ),
            "DELETE /v1/containers/alice?force=true | Bearer eyJtoken | cli | ".to_owned(),
            "POST /v1/containers/alice/stop | Bearer eyJtoken | cli | {\"force\":false,\"timeout\":30}"
                .to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_bad_token_is_told_in_the_words_of_the_handbook() {
    let (url, _) = serve(401, INVALID_TOKEN).await;
    let error = client(&url).call(&GetSystemInfo {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"API error (status 401): {"error": "invalid token", "code": 401}"#
    );
}

#[tokio::test]
async fn a_problem_keeps_its_body_and_its_hint() {
    let body = r#"{"error":"there is no container `bob`","code":404,"reason":"not_found","hint":"run `containarium list`"}"#;
    let (url, _) = serve(404, body).await;
    let bob = GetContainer {
        username: "bob".parse().unwrap(),
    };
    let error = client(&url).call(&bob).await.unwrap_err();
    assert_eq!(error.to_string(), format!("API error (status 404): {body}"));
    assert_eq!(error.hint().as_deref(), Some("run `containarium list`"));
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = client(&format!("http://{address}"))
        .call(&GetSystemInfo {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("request failed: dial tcp {address}: connection refused")
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("`containarium daemon --rest`")
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_told_by_name() {
    let url = "http://no-such-host.invalid:8080";
    let error = client(url).call(&GetSystemInfo {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "request failed: dial tcp: lookup no-such-host.invalid: no such host"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_told_apart() {
    let (url, _) = serve(200, "<html>hello</html>").await;
    let error = client(&url).call(&GetSystemInfo {}).await.unwrap_err();
    assert!(matches!(error, CallError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, asked) = serve(200, info().to_string()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(async move || axum::response::Redirect::temporary(&elsewhere));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let error = client(&url).call(&GetSystemInfo {}).await.unwrap_err();
    assert!(
        matches!(error, CallError::Api { status: 307, .. }),
        "{error:?}"
    );
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_file_that_went_away_is_told_at_the_call() {
    let gone = Client::new(
        "http://127.0.0.1:1",
        Token::in_file("/nowhere/token"),
        Face::Mcp,
    )
    .unwrap();
    let error = gone.call(&GetSystemInfo {}).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the token file /nowhere/token cannot be read: ")
    );
}
