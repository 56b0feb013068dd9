//! How failures read: to the letter where the handbook prints them.

use containarium_client::{Client, Token};
use containarium_contract::{Face, INVALID_TOKEN};
use containarium_mcp::Tools;
use rmcp::{ServiceExt, model::CallToolRequestParams};
use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    person::{Era, Person},
    session::call,
};

/// The text of a result that is an error and has no structured content.
fn text(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(result.get("structuredContent"), None);
    result["content"][0]["text"].as_str().unwrap()
}

async fn refused(status: u16, body: &'static str) -> Vec<String> {
    let daemon = Daemon::answering(move |_| (status, body.to_owned())).await;
    let result = call(&daemon, "get_container", json!({"username": "alice"})).await;
    text(&result).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_bad_token_opens_as_the_handbook_prints_it() {
    let lines = refused(401, INVALID_TOKEN).await;
    assert_eq!(
        lines[0],
        r#"API error (status 401): {"error": "invalid token", "code": 401}"#
    );
    assert!(
        lines[1].starts_with("Hint: the token has expired"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_fault_of_ours_is_an_answer_and_not_the_last_one() {
    // The daemon in this process panics, and with it the tool that asks.
    let broken = axum::Router::new().fallback(async || -> &'static str { panic!("on purpose") });
    let client = Client::within(broken, Token::fixed("eyJtest"), Face::Mcp);
    let mut person = Person::with(client, Era::Metadata, json!({})).await;
    for _ in 0..2 {
        let answer = person.calls("get_system_info", json!({}), json!({})).await;
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        let sentence = answer["error"]["message"].as_str().unwrap();
        assert!(sentence.contains("a fault in it"), "{sentence}");
    }
}

#[tokio::test]
async fn a_problem_is_passed_on_with_its_hint_on_the_next_line() {
    const BODY: &str = r#"{"error":"there is no container `alice`","code":404,"reason":"not_found","hint":"call list_containers"}"#;
    let lines = refused(404, BODY).await;
    assert_eq!(
        lines,
        [
            &format!("API error (status 404): {BODY}"),
            "Hint: call list_containers"
        ]
    );
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_told_by_its_address() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let token = Token::fixed("eyJtest");
    let client = Client::new(&format!("http://{address}"), token, Face::Mcp).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { Tools::new(client).serve(far).await.unwrap().waiting().await });
    let session = ().serve(near).await.unwrap();
    let result = session
        .call_tool(CallToolRequestParams::new("list_containers"))
        .await
        .unwrap();
    let result = serde_json::to_value(result).unwrap();
    let lines: Vec<&str> = text(&result).lines().collect();
    assert_eq!(
        lines[0],
        format!("request failed: dial tcp {address}: connection refused")
    );
    assert!(lines[1].starts_with("Hint: start the daemon"), "{lines:?}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_by_name_and_ask_nothing() {
    let daemon = Daemon::start().await;
    for (tool, arguments, lines) in [
        (
            "create_container",
            json!({"username": "alice", "memroy": "4GB"}),
            "invalid arguments: there is no field `memroy`\nHint: did you mean `memory`?",
        ),
        (
            "create_container",
            json!({}),
            "invalid arguments: `username` is required",
        ),
        (
            "get_container",
            json!({"username": null}),
            "invalid arguments: `username` is required",
        ),
        (
            "create_container",
            json!({"username": "Alice"}),
            "invalid arguments: `username`: a username is 1 to 31 of a-z, 0-9 and hyphen, starts \
             with a letter and does not end with a hyphen; `alice` would do",
        ),
        (
            "create_container",
            json!({"username": "alice", "ssh_keys": "ssh-ed25519 AAAA"}),
            "invalid arguments: `ssh_keys` must be array, not string",
        ),
        (
            "create_container",
            json!({"username": "alice", "ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}),
            "invalid arguments: `ssh_keys[0]`: this is a private key; give the public one, the file \
             that ends in .pub",
        ),
        (
            "get_system_info",
            json!({"all": true}),
            "invalid arguments: there is no field `all`\nHint: this request takes no fields",
        ),
        (
            "delete_container",
            json!({"username": "alice", "force": "yes"}),
            "invalid arguments: `force` must be boolean, not string",
        ),
    ] {
        assert_eq!(text(&call(&daemon, tool, arguments).await), lines);
    }
    assert_eq!(daemon.asked(), []);
}
