//! The program itself: its environment, its streams, its end.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::daemon::Daemon;

const TYPED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

/// Runs `mcp-server` with nothing but `environment`, types `input`, and closes its stdin.
pub(crate) async fn run(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-server"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that ended already does not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_handbooks_initialize_is_answered_before_the_end() {
    let environment = [
        ("CONTAINARIUM_SERVER_URL", "http://localhost:8080"),
        ("CONTAINARIUM_JWT_TOKEN", "eyJx"),
    ];
    for input in [format!("{TYPED}\n"), TYPED.to_owned()] {
        let output = run(&environment, &[], &input).await;
        assert!(output.status.success());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["result"]["serverInfo"]["name"], "containarium");
        assert_eq!(text(&output.stderr), "");
    }
}

#[tokio::test]
async fn what_the_environment_lacks_is_named() {
    let url = ("CONTAINARIUM_SERVER_URL", "http://localhost:8080");
    let no_file = ("CONTAINARIUM_JWT_TOKEN_FILE", "/nowhere/token");
    let bad_url = [
        ("CONTAINARIUM_SERVER_URL", "localhost"),
        ("CONTAINARIUM_JWT_TOKEN", "eyJx"),
    ];
    for (environment, sentence) in [
        (
            &[][..],
            "CONTAINARIUM_SERVER_URL environment variable is required\n",
        ),
        (
            &[url][..],
            "CONTAINARIUM_JWT_TOKEN environment variable is required\n",
        ),
        (
            &[url, no_file][..],
            "the token file /nowhere/token cannot be read: ",
        ),
        (
            &bad_url[..],
            "the server's URL is written http://HOST:PORT or https://HOST[:PORT]",
        ),
    ] {
        let output = run(environment, &[], TYPED).await;
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(sentence), "{stderr}");
    }
}

#[tokio::test]
async fn debugging_shows_both_directions_and_no_secret() {
    let daemon = Daemon::start().await;
    let environment = [
        ("CONTAINARIUM_SERVER_URL", daemon.url.as_str()),
        ("CONTAINARIUM_JWT_TOKEN", "hunter2"),
        ("CONTAINARIUM_DEBUG", "true"),
    ];
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_container","arguments":{"username":"alice","x":"hunter2 eyJabc.def -----BEGIN OPENSSH PRIVATE KEY-----secret"}}}"#;
    let output = run(&environment, &[], &format!("{TYPED}\n{call}\n")).await;
    let stderr = text(&output.stderr);
    assert_eq!(
        stderr
            .lines()
            .filter(|line| line.starts_with("--> "))
            .count(),
        2,
        "{stderr}"
    );
    assert_eq!(
        stderr
            .lines()
            .filter(|line| line.starts_with("<-- "))
            .count(),
        2,
        "{stderr}"
    );
    for secret in ["hunter2", "abc.def", "secret"] {
        assert!(!stderr.contains(secret), "{secret}: {stderr}");
    }
    assert!(
        text(&output.stdout)
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
}

#[tokio::test]
async fn the_token_of_a_file_is_read_at_every_call() {
    let daemon = Daemon::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "eyJx\n").unwrap();
    let environment = [
        ("CONTAINARIUM_SERVER_URL", daemon.url.as_str()),
        ("CONTAINARIUM_JWT_TOKEN_FILE", file.path().to_str().unwrap()),
    ];
    let call =
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_containers"}}"#;
    let output = run(&environment, &[], &format!("{TYPED}\n{call}\n")).await;
    assert!(output.status.success());
    assert_eq!(daemon.asked().len(), 1);
}

#[tokio::test]
async fn it_says_its_version_its_help_and_what_it_does_not_know() {
    let version = run(&[], &["--version"], "").await;
    assert_eq!(
        text(&version.stdout),
        concat!("mcp-server ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let help = run(&[], &["--help"], "").await;
    assert!(text(&help.stdout).contains("CONTAINARIUM_SERVER_URL"));
    let unknown = run(&[], &["--sse"], "").await;
    assert_eq!(unknown.status.code(), Some(2));
}
