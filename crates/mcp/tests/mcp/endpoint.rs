//! The tools over HTTP: who may ask by which name, whose a session is, and by whose token a call is
//! made.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use containarium_mcp::{Endpoint, Tools};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{daemon::Daemon, session::HANDSHAKES};

fn endpoint(daemon: &Daemon) -> Endpoint<Tools> {
    let hosts = ["box.example".to_owned()];
    Endpoint::of_tools(daemon.client(), &hosts, CancellationToken::new())
}

/// What was answered, once the answer is over.
struct Told {
    status: u16,
    session: Option<String>,
    text: String,
}

impl Told {
    /// The last message, of a stream or alone.
    fn message(&self) -> Value {
        let mut lines = self.text.lines().rev();
        let message = lines.find_map(|line| {
            let line = line.strip_prefix("data: ").unwrap_or(line);
            line.starts_with('{').then_some(line)
        });
        serde_json::from_str(message.unwrap_or(&self.text)).unwrap()
    }
}

/// A token, as far as it is not the daemon's to say.
fn token(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("eyJ.{claims}.c2ln")
}

fn usual() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
    insert(header::HOST, "localhost:8080");
    insert(header::ACCEPT, "application/json, text/event-stream");
    insert(header::CONTENT_TYPE, "application/json");
    headers
}

/// The usual headers and these, in place of those where they have the same name.
fn with(more: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = usual();
    for (name, value) in more {
        headers.insert(*name, value.parse().unwrap());
    }
    headers
}

fn framed(method: &str, headers: HeaderMap, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri("/mcp");
    let mut request = request.body(Full::from(body)).unwrap();
    *request.headers_mut() = headers;
    request
}

async fn asked(
    endpoint: &Endpoint<Tools>,
    owner: &str,
    method: &str,
    headers: HeaderMap,
    body: String,
) -> Told {
    let request = framed(method, headers, body);
    let response = endpoint.answer(owner, request).await;
    let session = response.headers().get("mcp-session-id");
    let session = session.map(|id| id.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(whole.to_vec()).unwrap();
    Told {
        status,
        session,
        text,
    }
}

async fn posted(endpoint: &Endpoint<Tools>, owner: &str, headers: HeaderMap, body: &Value) -> Told {
    asked(endpoint, owner, "POST", headers, body.to_string()).await
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn hello() -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    request("initialize", params)
}

/// A request of the era that has no sessions.
async fn alone(
    endpoint: &Endpoint<Tools>,
    token: &str,
    method: &str,
    mut params: Value,
    more: &[(&'static str, &str)],
) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    });
    let bearer = format!("Bearer {token}");
    let mut headers = with(&[
        ("authorization", &bearer),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ]);
    if let Some(name) = params["name"].as_str() {
        headers.insert("mcp-name", name.parse().unwrap());
    }
    headers.extend(with(more));
    let told = posted(endpoint, "alice", headers, &request(method, params)).await;
    assert_eq!(told.status, 200, "{}", told.text);
    told.message()
}

#[tokio::test]
async fn a_browser_that_a_foreign_name_led_here_is_sent_away() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    for host in [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.0.2.7",
        "box.example",
        "BOX.example:443",
    ] {
        let told = posted(&endpoint, "alice", with(&[("host", host)]), &hello()).await;
        assert_eq!(told.status, 200, "{host}: {}", told.text);
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "box.example.evil.example",
        "my-box.example",
    ] {
        let told = posted(&endpoint, "alice", with(&[("host", host)]), &hello()).await;
        assert_eq!(told.status, 403, "{host}: {}", told.text);
        let said = told.message()["error"]["message"].to_string();
        assert!(said.contains("--allowed-host NAME"), "{said}");
        assert_eq!(told.session, None, "{host}");
    }
}

#[tokio::test]
async fn whoever_does_not_say_for_whom_a_request_is_is_sent_away() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let mut none = usual();
    none.remove(header::HOST);
    let mut given = vec![none];
    for unreadable in [&b""[..], b"\xff", b"a b", b"box.example/x", b"[::1"] {
        let mut headers = usual();
        headers.insert(header::HOST, HeaderValue::from_bytes(unreadable).unwrap());
        given.push(headers);
    }
    for headers in given {
        let host = headers.get(header::HOST).cloned();
        let told = posted(&endpoint, "alice", headers, &hello()).await;
        assert_eq!(told.status, 403, "{host:?}: {}", told.text);
        let said = told.message()["error"]["message"].to_string();
        assert!(said.contains("`Host`"), "{said}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_sent_away() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    for origin in [
        "http://localhost:8080",
        "https://localhost",
        "http://127.0.0.1:6274",
        "http://[::1]:8080",
        "https://box.example",
        "http://box.example:8080",
    ] {
        let told = posted(&endpoint, "alice", with(&[("origin", origin)]), &hello()).await;
        assert_eq!(told.status, 200, "{origin}: {}", told.text);
    }
    for origin in [
        "https://evil.example",
        "http://localhost.evil.example",
        "https://box.example.evil.example",
        "null",
        "box.example",
        "",
    ] {
        for method in ["POST", "GET", "DELETE"] {
            let headers = with(&[("origin", origin)]);
            let told = asked(&endpoint, "alice", method, headers, hello().to_string()).await;
            assert_eq!(told.status, 403, "{method} {origin}: {}", told.text);
        }
    }
}

#[tokio::test]
async fn a_page_of_this_very_server_may_ask_it_by_whichever_address() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    for (host, origin, status) in [
        ("192.0.2.7:8080", "http://192.0.2.7:8080", 200),
        ("[2001:db8::7]:8080", "http://[2001:db8::7]:8080", 200),
        ("192.0.2.7", "https://192.0.2.7", 200),
        ("192.0.2.7:8080", "http://192.0.2.7:8081", 403),
        ("192.0.2.7:8080", "http://192.0.2.8:8080", 403),
        ("192.0.2.7:8080", "192.0.2.7:8080", 403),
        // Led here by a name that is not this server's.
        ("evil.example:8080", "http://evil.example:8080", 403),
    ] {
        let headers = with(&[("host", host), ("origin", origin)]);
        let told = posted(&endpoint, "alice", headers, &hello()).await;
        assert_eq!(told.status, status, "{host} {origin}: {}", told.text);
    }
}

#[tokio::test]
async fn a_session_is_its_owners_and_nobody_elses() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let opened = posted(&endpoint, "alice", usual(), &hello()).await;
    let id = opened.session.unwrap();
    let list = request("tools/list", json!({}));
    let in_session = || with(&[("mcp-session-id", &id)]);
    for owner in ["bob", "alic", "alice2", ""] {
        let told = posted(&endpoint, owner, in_session(), &list).await;
        assert_eq!(told.status, 404, "{owner}: {}", told.text);
        for method in ["GET", "DELETE"] {
            let told = asked(&endpoint, owner, method, in_session(), String::new()).await;
            assert_eq!(told.status, 404, "{owner} {method}: {}", told.text);
        }
    }
    let told = posted(&endpoint, "alice", in_session(), &list).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let tools = told.message()["result"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 17);

    let ended = asked(&endpoint, "alice", "DELETE", in_session(), String::new()).await;
    assert!(ended.status < 300, "{}: {}", ended.status, ended.text);
    let told = posted(&endpoint, "alice", in_session(), &list).await;
    assert_eq!(told.status, 404, "{}", told.text);
}

#[tokio::test]
async fn every_version_with_a_handshake_has_a_session_that_calls_tools() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    for version in HANDSHAKES {
        let mut greeting = hello();
        greeting["params"]["protocolVersion"] = json!(version);
        let opened = posted(&endpoint, "alice", usual(), &greeting).await;
        assert_eq!(opened.message()["result"]["protocolVersion"], version);
        let id = opened.session.unwrap();
        let headers = with(&[("mcp-session-id", &id), ("mcp-protocol-version", version)]);
        let call = request("tools/call", json!({"name": "list_containers"}));
        let told = posted(&endpoint, "alice", headers, &call).await;
        assert_eq!(told.status, 200, "{version}: {}", told.text);
        assert!(
            told.text.contains("alice-container"),
            "{version}: {}",
            told.text
        );
    }
}

#[tokio::test]
async fn a_session_that_was_not_sealed_here_is_unknown() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let sealed = posted(&endpoint, "alice", usual(), &hello()).await;
    let sealed = sealed.session.unwrap();
    let list = request("tools/list", json!({}));
    // The transport's own id, which a proxy or a log may have shown.
    let body = BASE64_URL_SAFE_NO_PAD.decode(sealed.split('.').nth(1).unwrap());
    let bare = String::from_utf8(body.unwrap()[8..].to_vec()).unwrap();
    assert!(bare.len() >= 32, "{bare}");
    let elsewhere = self::endpoint(&daemon);
    let elsewhere = posted(&elsewhere, "alice", usual(), &hello()).await;
    for (why, id) in [
        ("bare", bare),
        ("of another server", elsewhere.session.unwrap()),
        ("cut off", sealed[..sealed.len() - 1].to_owned()),
        ("made up", "01JD3ZQ8M4K6T1W9V5R2X7Y0BC".to_owned()),
        ("empty", String::new()),
    ] {
        let told = posted(&endpoint, "alice", with(&[("mcp-session-id", &id)]), &list).await;
        assert_eq!(told.status, 404, "{why}: {}", told.text);
        let said = told.message()["error"]["message"].clone();
        assert_eq!(
            said, "Session not found: begin anew with initialize",
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_message_of_more_than_a_mebibyte_is_refused() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    for (fill, status) in [((1 << 20) - 1000, 200), (1 << 20, 413)] {
        let mut long = hello();
        long["params"]["clientInfo"]["version"] = json!("x".repeat(fill));
        let told = posted(&endpoint, "alice", usual(), &long).await;
        assert_eq!(told.status, status, "{fill}");
    }
}

#[tokio::test]
async fn every_call_is_made_with_the_token_and_the_restrictions_that_it_brings_itself() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let list = || json!({"name": "list_containers", "arguments": {}});
    for (token, more, said) in [
        ("eyJalice", &[][..], vec![]),
        (
            "eyJbob",
            &[("containarium-restrict", "max=3")],
            vec!["max=3"],
        ),
        ("eyJalice", &[], vec![]),
    ] {
        alone(&endpoint, token, "tools/call", list(), more).await;
        let signed = daemon.signed().pop().unwrap();
        assert_eq!(signed.token, format!("Bearer {token}"));
        assert_eq!(signed.restrictions, said);
    }
    // In a session, too, it is not the one that opened it.
    let bearer = |token: &str| format!("Bearer {token}");
    let first = bearer("eyJfirst");
    let opened = posted(
        &endpoint,
        "alice",
        with(&[("authorization", &first)]),
        &hello(),
    )
    .await;
    let id = opened.session.unwrap();
    let second = bearer("eyJsecond");
    let headers = with(&[("authorization", &second), ("mcp-session-id", &id)]);
    let told = posted(&endpoint, "alice", headers, &request("tools/call", list())).await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(daemon.signed().pop().unwrap().token, second);
}

#[tokio::test]
async fn the_list_is_of_what_the_caller_can_do() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let user = token(&json!({"sub": "alice", "roles": ["user"]}));
    let viewer = token(&json!({"sub": "alice", "roles": ["viewer"]}));
    let reads_only = token(&json!({"sub": "alice", "roles": ["user"], "read_only": true}));
    let restricted = token(&json!({"sub": "alice", "roles": ["user"], "only": ["a-"], "max": 5}));
    let looks = &[("containarium-restrict", "max=5; read-only")][..];
    let less = &[("containarium-restrict", "max=5; only=alice")][..];
    let stop = json!({"name": "stop_container", "arguments": {"username": "alice"}});
    for (who, more, by) in [
        (&user, &[][..], None),
        (&user, less, None),
        (&restricted, &[], None),
        (&viewer, &[], Some("the token")),
        (&reads_only, less, Some("the token")),
        (&user, looks, Some("containarium-restrict")),
    ] {
        let told = alone(&endpoint, who, "tools/list", json!({}), more).await;
        let tools = told["result"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), if by.is_some() { 8 } else { 17 }, "{told}");
        let told = alone(&endpoint, who, "tools/call", stop.clone(), more).await;
        let Some(by) = by else {
            assert_ne!(told["result"]["isError"], true, "{told}");
            continue;
        };
        let wanted = format!("stop_container is not offered: {by} takes it away");
        assert_eq!(told["error"]["message"], wanted);
    }
    let stops = daemon.asked().into_iter();
    assert_eq!(stops.filter(|(line, _)| line.ends_with("/stop")).count(), 3);
}

#[tokio::test]
async fn a_persons_word_counts_for_whoever_asked_for_it() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let alice = token(&json!({"sub": "alice", "jti": "1"}));
    let bob = token(&json!({"sub": "bob", "jti": "1"}));
    let renewed = token(&json!({"sub": "alice", "jti": "2"}));
    let purge = || json!({"name": "purge_container", "arguments": {"username": "alice"}});
    let asked = alone(&endpoint, &alice, "tools/call", purge(), &[]).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let mut again = purge();
    again["requestState"] = asked["result"]["requestState"].clone();
    let typed = json!({"action": "accept", "content": {"name": "alice-container"}});
    again["inputResponses"] = json!({"confirm": typed});

    let deletes = || {
        let asked = daemon.asked().into_iter();
        asked.filter(|(line, _)| line.starts_with("DELETE")).count()
    };
    let told = alone(&endpoint, &bob, "tools/call", again.clone(), &[]).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    let said = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("was given to another call"), "{said}");
    assert_eq!(deletes(), 0);
    let told = alone(&endpoint, &renewed, "tools/call", again, &[]).await;
    assert_ne!(told["result"]["isError"], true, "{told}");
    assert_eq!(deletes(), 1);
}

#[tokio::test]
async fn a_person_who_is_asked_in_a_session_answers_in_it_and_nobody_answers_for_them() {
    let daemon = Daemon::start().await;
    let endpoint = endpoint(&daemon);
    let mut greeting = hello();
    greeting["params"]["capabilities"] = json!({"elicitation": {}});
    let opened = posted(&endpoint, "alice", usual(), &greeting).await;
    let id = opened.session.unwrap();
    let in_session = || with(&[("mcp-session-id", &id)]);
    let purge = json!({"name": "purge_container", "arguments": {"username": "alice"}});
    let purge = request("tools/call", purge).to_string();
    let response = endpoint.answer("alice", framed("POST", in_session(), purge));
    let mut stream = response.await.into_body();
    let mut said = String::new();
    let question = loop {
        let frame = tokio::time::timeout(Duration::from_secs(10), stream.frame()).await;
        let frame = frame.expect("a question").unwrap().unwrap();
        said += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        let mut lines = said.lines().filter_map(|line| line.strip_prefix("data: "));
        if let Some(line) = lines.find(|line| line.contains("elicitation/create")) {
            break serde_json::from_str::<Value>(line).unwrap();
        }
    };
    let typed = json!({"action": "accept", "content": {"name": "alice-container"}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": typed});
    let told = posted(&endpoint, "bob", in_session(), &answer).await;
    assert_eq!(told.status, 404, "{}", told.text);
    let deletes = || {
        let asked = daemon.asked().into_iter();
        asked.filter(|(line, _)| line.starts_with("DELETE")).count()
    };
    assert_eq!(deletes(), 0);
    let told = posted(&endpoint, "alice", in_session(), &answer).await;
    assert_eq!(told.status, 202, "{}", told.text);
    let rest = tokio::time::timeout(Duration::from_secs(10), stream.collect()).await;
    let rest = rest.expect("an end").unwrap().to_bytes();
    let rest = String::from_utf8(rest.to_vec()).unwrap();
    assert!(rest.contains("alice-container is deleted"), "{rest}");
    assert_eq!(deletes(), 1);
}
