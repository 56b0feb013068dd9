//! A daemon's REST API, asked by nothing but its shape, so that another daemon of the same shape can be
//! measured too.

use std::{net::Ipv4Addr, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long it may take until one that is being made can be deleted.
const GONE: Duration = Duration::from_secs(60);
/// Between two looks at a create that was answered before it had an address.
const LOOK: Duration = Duration::from_millis(5);

/// One caller of one daemon.
#[derive(Clone)]
pub(super) struct Rest {
    http: Client,
    url: String,
    token: String,
}

impl Rest {
    /// A new connection for each call, as the commands have it.
    pub(super) fn new(url: &str, token: &str) -> Self {
        Self::with(url, token, 0)
    }

    /// One connection, for one call after the other.
    pub(super) fn kept(&self) -> Self {
        Self::with(&self.url, &self.token, 1)
    }

    fn with(url: &str, token: &str, idle: usize) -> Self {
        let http = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(idle)
            .timeout(PATIENCE);
        // A machine without root certificates can still speak plain HTTP.
        let http = if url.starts_with("https:") {
            http
        } else {
            http.tls_certs_only([])
        };
        Self {
            http: http.build().unwrap(),
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        }
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A read that must succeed; its body as it came, read to its end.
    pub(super) async fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {}", text(status, &body));
        body
    }

    /// The same as JSON.
    pub(super) async fn read(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).await).unwrap()
    }

    /// What a daemon of this shape need not have; `None` where it does not.
    pub(super) async fn find(&self, path: &str) -> Option<Value> {
        let (status, body) = self.ask(Method::GET, path, None).await;
        if !status.is_success() {
            return None;
        }
        serde_json::from_slice(&body).ok()
    }

    /// A change that must succeed.
    pub(super) async fn change(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let what = format!("{method} {path}");
        let (status, body) = self.ask(method, path, body).await;
        assert!(status.is_success(), "{what}: {}", text(status, &body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// Creates a container and answers with its address.
    pub(super) async fn create(&self, username: &str, key: &str) -> Ipv4Addr {
        let made = self.create_as(username, key, json!({})).await;
        let standby = made["servedFrom"] == "standby";
        assert!(
            !standby,
            "this daemon keeps standbys of its default image: what is measured here is without"
        );
        self.address(username, made).await
    }

    /// The same with these fields besides; its answer.
    pub(super) async fn create_as(&self, username: &str, key: &str, fields: Value) -> Value {
        let mut body = json!({
            "username": username,
            "resources": {"cpu": "1", "memory": "512MB", "disk": "5GB"},
            "sshKeys": [key],
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.change(Method::POST, "/v1/containers", Some(body))
            .await
    }

    /// Where a container is, which its create may not have said yet.
    pub(super) async fn address(&self, username: &str, mut made: Value) -> Ipv4Addr {
        loop {
            let address = made["container"]["network"]["ipAddress"].as_str();
            if let Some(address) = address.and_then(|text| text.parse().ok()) {
                return address;
            }
            sleep(LOOK).await;
            made = self.read(&format!("/v1/containers/{username}")).await;
        }
    }

    /// Deletes a container, running or not, for good. Where that is not known, deletes it.
    pub(super) async fn delete(&self, username: &str) {
        let path = format!("/v1/containers/{username}?force=true");
        let purge = format!("{path}&purge=true");
        let (status, body) = self.ask(Method::DELETE, &purge, None).await;
        if status == StatusCode::BAD_REQUEST {
            self.change(Method::DELETE, &path, None).await;
            return;
        }
        assert!(
            status.is_success(),
            "DELETE {path}: {}",
            text(status, &body)
        );
    }

    /// The same of one that may not be there, or is being made still.
    pub(super) async fn sweep(&self, username: &str) {
        let path = format!("/v1/containers/{username}?force=true&purge=true");
        let end = Instant::now() + GONE;
        loop {
            let (status, body) = self.ask(Method::DELETE, &path, None).await;
            if status.is_success() || status == StatusCode::NOT_FOUND {
                return;
            }
            if Instant::now() > end {
                eprintln!("bench: {username} stays: {}", text(status, &body));
                return;
            }
            sleep(LOOK * 20).await;
        }
    }

    /// Calls a tool through `/mcp`; whether there was an answer.
    pub(super) async fn tool(&self, name: &str, arguments: Value) -> bool {
        let era = "2026-07-28";
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments, "_meta": {
                "io.modelcontextprotocol/protocolVersion": era,
                "io.modelcontextprotocol/clientCapabilities": {},
            }},
        });
        let call = self.http.post(format!("{}/mcp", self.url));
        let call = call.bearer_auth(&self.token).json(&request);
        let call = call
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", era)
            .header("mcp-method", "tools/call")
            .header("mcp-name", name);
        let answer = call.send().await.unwrap();
        let answered = answer.status().is_success();
        answered && answer.text().await.unwrap().contains("structuredContent")
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Vec<u8>) {
        let mut call = self
            .http
            .request(method.clone(), format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call
            .send()
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        let status = answer.status();
        (status, answer.bytes().await.unwrap().to_vec())
    }
}

fn text(status: StatusCode, body: &[u8]) -> String {
    format!("{status}: {}", String::from_utf8_lossy(body))
}
