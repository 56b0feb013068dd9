//! `/mcp` beside a daemon's API: whose request comes so far, and what it may do there.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use containarium_core::{Principal, Role, token};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};
use ulid::Ulid;

use super::simulation::Simulation;

const SECRET: &str = "a secret of at least thirty-two bytes";
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(30);

/// A simulation whose secret is known.
struct Server {
    simulation: Simulation,
    address: String,
}

/// What was answered, once the connection is over.
struct Told {
    status: u16,
    head: String,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    /// The last message, of a stream or alone.
    fn message(&self) -> Value {
        let mut lines = self.body.lines().rev();
        let message = lines.find_map(|line| {
            let line = line.strip_prefix("data: ").unwrap_or(line);
            line.starts_with('{').then_some(line)
        });
        serde_json::from_str(message.unwrap_or(&self.body)).unwrap()
    }
}

impl Server {
    async fn start(home: &Path) -> Self {
        let line = [
            "daemon",
            "--engine",
            "sim",
            "--port",
            "0",
            "--allowed-host",
            "box.example",
        ];
        let variables = [("CONTAINARIUM_JWT_SECRET", SECRET)];
        let simulation = Simulation::started(home, &line, &variables).await;
        let (_, address) = simulation.exports.split_once("=http://").unwrap();
        let address = address.lines().next().unwrap().to_owned();
        Self {
            simulation,
            address,
        }
    }

    /// A request to the letter, on a connection of its own.
    async fn begun(&self, request: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(&self.address).await.unwrap();
        // One that is refused early is not read to its end.
        let _cut = connection.write_all(request).await;
        connection
    }

    async fn sent(&self, request: &[u8]) -> Told {
        let mut answer = Vec::new();
        let mut connection = self.begun(request).await;
        let read = connection.read_to_end(&mut answer);
        timeout(SOON, read).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Told {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A request with these lines in its head.
    async fn asked(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Told {
        self.sent(&request(method, path, lines, body)).await
    }

    /// A message, with this token and further lines in the head.
    async fn posted(&self, token: &str, more: &[&str], message: &Value) -> Told {
        let bearer = format!("Authorization: Bearer {token}");
        let lines = [&["Host: localhost", &bearer][..], more].concat();
        self.asked("POST", "/mcp", &lines, &message.to_string())
            .await
    }

    /// What a tool says, or why it is not called, in the era without sessions.
    async fn called(&self, token: &str, more: &[&str], tool: &str, arguments: Value) -> Value {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                "name": tool, "arguments": arguments, "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        });
        let name = format!("Mcp-Name: {tool}");
        let era = [
            "MCP-Protocol-Version: 2026-07-28",
            "Mcp-Method: tools/call",
            &name,
        ];
        let told = self
            .posted(token, &[&era[..], more].concat(), &message)
            .await;
        assert_eq!(told.status, 200, "{}", told.body);
        let message = told.message();
        message.get("result").unwrap_or(&message["error"]).clone()
    }

    /// The usernames that a token is shown.
    async fn listed(&self, token: &str, more: &[&str]) -> Vec<String> {
        let told = self.called(token, more, "list_containers", json!({})).await;
        let containers = told["structuredContent"]["containers"].as_array().unwrap();
        let username = |one: &Value| one["username"].as_str().unwrap().to_owned();
        containers.iter().map(username).collect()
    }

    async fn end(self) {
        self.simulation.end().await;
    }
}

/// Of the version of HTTP whose answers end with their connection.
fn request(method: &str, path: &str, lines: &[&str], body: &str) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let usual = [
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        &length,
    ];
    let lines = [&usual[..], lines].concat().join("\r\n");
    format!("{method} {path} HTTP/1.0\r\n{lines}\r\n\r\n{body}").into_bytes()
}

fn token_for(subject: &str, role: Role, life: Duration, restrictions: &[&str]) -> String {
    let who = Principal {
        subject: subject.parse().unwrap(),
        roles: vec![role],
        restrictions: restrictions
            .iter()
            .map(|said| said.parse().unwrap())
            .collect(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let secret = SECRET.as_bytes().to_vec().into();
    token::mint(&secret, &who, now.as_secs(), life, Ulid::generate()).unwrap()
}

fn user(subject: &str) -> String {
    token_for(subject, Role::User, HOUR, &[])
}

fn hello() -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told_and_no_other_way_in_is_named() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    let good = user("alice");
    let cut = format!("Authorization: Bearer {}", &good[..good.len() - 4]);
    let basic = format!("Authorization: Basic {good}");
    let bare = format!("Authorization: {good}");
    for given in [
        None,
        Some("Authorization: Bearer x"),
        Some(&cut),
        Some(&basic),
        Some(&bare),
    ] {
        for method in ["POST", "GET", "DELETE"] {
            let lines: Vec<&str> = [Some("Host: localhost"), given]
                .into_iter()
                .flatten()
                .collect();
            let told = server
                .asked(method, "/mcp", &lines, &hello().to_string())
                .await;
            assert_eq!(told.status, 401, "{method} {given:?}: {}", told.body);
            assert_eq!(told.header("www-authenticate"), Some("Bearer"), "{method}");
            assert_eq!(told.header("mcp-session-id"), None);
        }
    }
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/mcp/.well-known/oauth-protected-resource",
    ] {
        let told = server.asked("GET", path, &["Host: localhost"], "").await;
        assert_eq!(told.status, 404, "{path}: {}", told.body);
    }
    let told = server.posted(&good, &[], &hello()).await;
    assert_eq!(told.status, 200, "{}", told.body);
    server.end().await;
}

#[tokio::test]
async fn it_answers_to_its_own_names_and_those_that_it_was_given() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    let bearer = format!("Authorization: Bearer {}", user("alice"));
    let machine = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned();
    for (host, status) in [
        (server.address.as_str(), 200),
        ("localhost:8080", 200),
        ("box.example", 200),
        ("Box.Example:443", 200),
        (machine.as_str(), 200),
        ("evil.example", 403),
        ("box.example.evil.example", 403),
        ("", 403),
    ] {
        let lines = [&format!("Host: {host}"), bearer.as_str()];
        let told = server
            .asked("POST", "/mcp", &lines, &hello().to_string())
            .await;
        assert_eq!(told.status, status, "{host}: {}", told.body);
    }
    let told = server
        .asked("POST", "/mcp", &[&bearer], &hello().to_string())
        .await;
    assert_eq!(told.status, 403, "no Host: {}", told.body);
    let unreadable = request("POST", "/mcp", &["Host: ?", &bearer], &hello().to_string());
    let unreadable: Vec<u8> = unreadable
        .iter()
        .map(|b| if *b == b'?' { 0xff } else { *b })
        .collect();
    let told = server.sent(&unreadable).await;
    assert_eq!(told.status, 403, "{}", told.body);

    for (origin, status) in [
        ("https://box.example", 200),
        ("http://localhost:8080", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let lines = [
            "Host: localhost",
            &format!("Origin: {origin}"),
            bearer.as_str(),
        ];
        let told = server
            .asked("POST", "/mcp", &lines, &hello().to_string())
            .await;
        assert_eq!(told.status, status, "{origin}: {}", told.body);
    }
    server.end().await;
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    let mut long = hello();
    for (fill, status) in [((1 << 20) - 1000, 200), (1 << 20, 413)] {
        long["params"]["clientInfo"]["version"] = json!("x".repeat(fill));
        let told = server.posted(&user("alice"), &[], &long).await;
        assert_eq!(told.status, status, "{fill}: {}", told.body);
    }
    server.end().await;
}

#[tokio::test]
async fn a_session_is_of_the_subject_that_opened_it() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    let opened = server.posted(&user("alice"), &[], &hello()).await;
    let id = opened.header("mcp-session-id").unwrap();
    let session = format!("Mcp-Session-Id: {id}");
    let admin = token_for("admin", Role::Admin, HOUR, &[]);
    for (token, session, status) in [
        (user("bob"), &session, 404),
        (admin, &session, 404),
        (user("alice"), &"Mcp-Session-Id: made-up".to_owned(), 404),
        // A token that was made anew is the same person's.
        (user("alice"), &session, 200),
    ] {
        let told = server.posted(&token, &[session], &list()).await;
        assert_eq!(told.status, status, "{}", told.body);
    }
    server.end().await;
}

#[tokio::test]
async fn everybody_makes_and_sees_what_their_own_token_allows() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    for name in ["alice", "bob"] {
        let made = json!({"username": name});
        let told = server
            .called(&user(name), &[], "create_container", made)
            .await;
        let owner = &told["structuredContent"]["container"]["owner"];
        assert_eq!(owner, name, "{told}");
    }
    let admin = token_for("admin", Role::Admin, HOUR, &[]);
    let bobs = token_for("admin", Role::Admin, HOUR, &["only=bob"]);
    let only_bob = "containarium-restrict: only=bob";
    for (token, more, names) in [
        (user("alice"), &[][..], &["alice"][..]),
        (user("bob"), &[], &["bob"]),
        (user("carol"), &[], &[]),
        (admin.clone(), &[], &["alice", "bob"]),
        (bobs, &[], &["bob"]),
        (admin.clone(), &[only_bob], &["bob"]),
        (user("alice"), &[only_bob], &[]),
    ] {
        assert_eq!(server.listed(&token, more).await, names, "{more:?}");
    }
    let alice = json!({"username": "alice"});
    let told = server
        .called(&user("bob"), &[], "get_container", alice.clone())
        .await;
    assert_eq!(told["isError"], true, "{told}");

    for (restriction, tool, username) in [
        ("max=2", "create_container", "carol"),
        ("only=bob", "get_container", "alice"),
    ] {
        let header = format!("containarium-restrict: {restriction}");
        let arguments = json!({"username": username});
        let told = server
            .called(&admin, &[&header], tool, arguments.clone())
            .await;
        assert_eq!(told["isError"], true, "{restriction}: {told}");
        let told = server.called(&admin, &[], tool, arguments).await;
        assert_ne!(told["isError"], true, "without {restriction}: {told}");
    }
    // Refused before the daemon is asked.
    let reads_only = ["containarium-restrict: read-only"];
    let told = server
        .called(&admin, &reads_only, "stop_container", alice)
        .await;
    assert_eq!(
        told["message"],
        "stop_container is not offered: containarium-restrict takes it away"
    );
    let unclear = ["containarium-restrict: readonly"];
    let told = server.posted(&admin, &unclear, &hello()).await;
    assert_eq!(told.status, 400, "{}", told.body);
    server.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path()).await;
    let opened = server.posted(&user("alice"), &[], &hello()).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let stream = async |life| {
        let token = token_for("alice", Role::User, life, &[]);
        let bearer = format!("Authorization: Bearer {token}");
        let session = format!("Mcp-Session-Id: {session}");
        let lines = ["Host: localhost", &bearer, &session];
        let connection = server.begun(&request("GET", "/mcp", &lines, "")).await;
        let mut connection = BufReader::new(connection);
        let mut first = String::new();
        connection.read_line(&mut first).await.unwrap();
        assert!(first.contains(" 200 "), "{first}");
        connection
    };
    let mut rest = String::new();
    let mut short = stream(Duration::from_secs(2)).await;
    timeout(SOON, short.read_to_string(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.contains("text/event-stream"), "{rest}");

    // One whose token is good is still there when that of another is over.
    let mut long = stream(HOUR).await;
    let mut short = stream(Duration::from_secs(2)).await;
    let mut rest = Vec::new();
    tokio::select! {
        biased;
        read = long.read_to_end(&mut rest) => panic!("{read:?}: {}", String::from_utf8_lossy(&rest)),
        read = timeout(SOON, async { short.read_to_string(&mut String::new()).await }) => {
            read.unwrap().unwrap();
        }
    }
    server.end().await;
}
