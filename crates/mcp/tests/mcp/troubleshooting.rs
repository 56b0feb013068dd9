//! The error lines of the handbook's troubleshooting, each brought about as the handbook says it is:
//! the program itself, against a real daemon.

use std::process::Output;

use containarium_testkit::{Simulated, TestDaemon};
use serde_json::Value;

use super::program::run;

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_containers"}}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

/// The text that a model reads of a call with this server and token.
async fn told(url: &str, token: &str) -> String {
    let environment = [
        ("CONTAINARIUM_SERVER_URL", url),
        ("CONTAINARIUM_JWT_TOKEN", token),
    ];
    let Output { stdout, .. } = run(&environment, &[], &format!("{HELLO}\n{CALL}\n")).await;
    let lines = String::from_utf8(stdout).unwrap();
    let answer: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_or_has_another_secret_or_another_form_is_a_401_to_the_letter() {
    let there = Simulated::on(231).await;
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let good = daemon.admin_token();
    let shown = told(&daemon.url, &good).await;
    assert!(
        shown.contains("\"totalCount\": 0"),
        "a good one works: {shown}"
    );

    let elsewhere = Simulated::on(232).await;
    let elsewhere = TestDaemon::with(elsewhere.state.clone(), elsewhere.sim.socket()).await;
    for bad in [
        daemon.expired_token(),
        elsewhere.admin_token(),
        format!("Token {good}"),
    ] {
        let text = told(&daemon.url, &bad).await;
        let (line, hint) = text.split_once('\n').unwrap();
        assert_eq!(
            line,
            r#"API error (status 401): {"error": "invalid token", "code": 401}"#
        );
        assert!(hint.starts_with("Hint: the token has expired"), "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stopped_and_a_wrong_port_are_refused_connections() {
    let there = Simulated::on(233).await;
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let (url, token) = (daemon.url.clone(), daemon.admin_token());
    daemon.stopped().await;
    let address = url.trim_start_matches("http://").to_owned();
    let text = told(&url, &token).await;
    let (line, hint) = text.split_once('\n').unwrap();
    assert_eq!(
        line,
        format!("request failed: dial tcp {address}: connection refused")
    );
    assert!(hint.contains("`containarium daemon --rest`"), "{hint}");
}

#[tokio::test]
async fn an_environment_without_a_server_is_told_on_stderr() {
    let output = run(&[("CONTAINARIUM_JWT_TOKEN", "eyJ")], &[], HELLO).await;
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "CONTAINARIUM_SERVER_URL environment variable is required\n"
    );
    assert_eq!(output.status.code(), Some(1));
}
