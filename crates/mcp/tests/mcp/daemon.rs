//! A daemon that is made up: it writes down what it is asked and gives answers of the right shape.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::IntoResponse,
};
use containarium_client::{Client, Token};
use containarium_contract::{Face, HostEngine, Restrictions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One request, as `METHOD /path?query`, and its body.
pub(crate) type Asked = (String, Value);

/// How one request was signed.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) token: String,
    pub(crate) restrictions: Vec<String>,
}

pub(crate) struct Daemon {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<(Asked, Signed)>>>,
}

impl Daemon {
    /// Answers every request as a daemon with one container would.
    pub(crate) async fn start() -> Self {
        Self::answering(|asked| (200, answer(asked).to_string())).await
    }

    /// Answers as a daemon whose engine is a simulation.
    pub(crate) async fn simulated(
        answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::with(answer, Some(HostEngine::SIM)).await
    }

    /// Answers every request with what `answer` makes of `METHOD /path?query`.
    pub(crate) async fn answering(
        answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::with(answer, None).await
    }

    async fn with(
        answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static,
        engine: Option<&'static str>,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = asked.clone();
        let app = Router::new().fallback(async move |request: Request| {
            assert_eq!(request.headers()[Face::HEADER], "mcp");
            let line = format!("{} {}", request.method(), request.uri());
            let signed = Signed::of(request.headers());
            let body = axum::body::to_bytes(request.into_body(), 1 << 20)
                .await
                .unwrap();
            let (status, text) = answer(&line);
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            notes.lock().unwrap().push(((line, body), signed));
            let engine = engine.map(|engine| [(HostEngine::HEADER, engine)]);
            (StatusCode::from_u16(status).unwrap(), engine, text).into_response()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url, Token::fixed("eyJtest"), Face::Mcp).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// How each of them was signed.
    pub(crate) fn signed(&self) -> Vec<Signed> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, signed)| signed.clone()).collect()
    }
}

impl Signed {
    fn of(headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let restrictions = headers.get_all(Restrictions::HEADER).iter();
        Self {
            token: text(&headers["authorization"]),
            restrictions: restrictions.map(text).collect(),
        }
    }
}

pub(crate) fn container() -> Value {
    json!({
        "name": "alice-container", "username": "alice", "owner": "alice", "state": "running",
        "resources": {"cpu": "4", "memory": "4GB", "disk": "50GB"}, "sshKeys": [],
        "network": {
            "ipAddress": "10.0.0.2", "macAddress": "00:16:3e:00:00:01", "interface": "eth0",
            "bridge": "br0"
        },
        "createdAt": 1, "updatedAt": 2, "labels": {}, "image": "images:ubuntu/24.04",
        "dockerEnabled": true
    })
}

/// A create of alice, with these fields otherwise.
pub(crate) fn operation(state: &str, changes: Value) -> Value {
    let mut operation = json!({
        "id": OPERATION, "kind": "create", "target": "alice", "state": state, "steps": [],
        "progress": 10, "attempt": 1, "deadline": "d", "cause": "c", "actor": "alice",
        "createdAt": "c", "updatedAt": "u"
    });
    for (key, value) in changes.as_object().unwrap() {
        operation[key] = value.clone();
    }
    operation
}

/// Its id.
pub(crate) const OPERATION: &str = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC";

pub(crate) fn answer(asked: &str) -> Value {
    let metrics = json!({"name": "alice-container", "sampledAt": "2026-01-01T00:00:00Z"});
    let (method, path) = asked.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap();
    match (method, path) {
        (_, path) if path.contains("/ssh-keys") => {
            json!({"message": "it may log in now", "sshKeys": []})
        }
        ("POST", "/v1/containers") => json!({
            "container": container(), "message": "alice-container is ready",
            "sshCommand": "ssh alice@10.0.0.2", "sshCommandRemote": "containarium ssh alice"
        }),
        ("GET", "/v1/containers") => {
            json!({"containers": [container()], "totalCount": 1, "engine": "ok"})
        }
        ("GET", "/v1/images") => json!({"images": [], "remotes": ["images"], "engine": "ok"}),
        ("GET", "/v1/operations") => json!({"operations": [operation("running", json!({}))]}),
        ("GET", "/v1/system/info") => json!({
            "info": {"engine": "ok", "defaultImage": "images:ubuntu/24.04", "containersTotal": 1}
        }),
        ("GET", _) if path.starts_with("/v1/metrics") => {
            json!({"metrics": [metrics], "engine": "ok"})
        }
        (_, path) if path.starts_with("/v1/operations/") => {
            json!({"operation": operation("running", json!({}))})
        }
        ("GET", _) => json!({"container": container(), "metrics": metrics, "engine": "ok"}),
        ("DELETE", _) => json!({
            "message": "alice-container is deleted", "containerName": "alice-container",
            "deletedUntil": null
        }),
        _ => json!({"message": "alice-container runs", "container": container()}),
    }
}
