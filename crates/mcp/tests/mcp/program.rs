//! The program itself: its environment, its streams, its end.

use std::process::{Output, Stdio};

use containarium_testkit::McpSession;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

use super::daemon::Daemon;

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
async fn tls_is_set_up_by_the_first_call() {
    // A machine without root certificates, as far as the program can see.
    let environment = [
        ("CONTAINARIUM_SERVER_URL", "https://localhost:8443"),
        ("CONTAINARIUM_JWT_TOKEN", "eyJx"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
    ];
    let listed = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let call =
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"list_containers"}}"#;
    let output = run(&environment, &[], &format!("{TYPED}\n{listed}\n{call}\n")).await;
    assert_eq!(text(&output.stderr), "");
    let answers: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let with = |id| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert!(with(2)["result"]["tools"].is_array(), "{}", with(2));
    let told = with(3)["result"]["content"][0]["text"].as_str().unwrap();
    let (sentence, hint) = told.split_once("\nHint: ").unwrap();
    assert!(
        sentence.starts_with("request failed: TLS cannot be set up: "),
        "{sentence}"
    );
    assert!(sentence.contains("No CA certificates"), "{sentence}");
    assert!(hint.contains("CONTAINARIUM_CA_FILE"), "{hint}");
}

/// Measures an unoptimised build, whose code is several times the size of a released one's. So this holds
/// only what depends little on the build: the memory that the program itself has written to. All that is
/// resident, code included, is measured by `make bench` on a release build, and aims at 9 MiB.
#[tokio::test]
async fn a_session_that_has_listed_the_tools_has_written_to_little_memory() {
    let mut session = McpSession::of(McpSession::server("http://localhost:8080", "eyJx")).await;
    assert!(!session.tools().await.is_empty());
    let status = std::fs::read_to_string(format!("/proc/{}/status", session.pid())).unwrap();
    let written = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok());
    let written: u32 = written.unwrap();
    assert!(written <= 3 * 1024, "{written} KiB:\n{status}");
    session.stop().await;
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

#[tokio::test]
async fn a_create_without_keys_gets_the_one_of_the_persons_file() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";
    let create = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_container","arguments":{"username":"alice"}}}"#;
    let listed = r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#;
    let home = tempfile::tempdir().unwrap();
    for there in [true, false] {
        let daemon = Daemon::start().await;
        if there {
            std::fs::write(home.path().join("id.pub"), KEY).unwrap();
        } else {
            std::fs::remove_file(home.path().join("id.pub")).unwrap();
        }
        let environment = [
            ("CONTAINARIUM_SERVER_URL", daemon.url.as_str()),
            ("CONTAINARIUM_JWT_TOKEN", "eyJx"),
            ("CONTAINARIUM_SSH_KEY_FILE", "~/id.pub"),
            ("HOME", home.path().to_str().unwrap()),
        ];
        let output = run(&environment, &[], &format!("{TYPED}\n{create}\n{listed}\n")).await;
        assert!(output.status.success());
        let answers: Vec<Value> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let with = |id| answers.iter().find(|answer| answer["id"] == id).unwrap();
        let instructions = with(1)["result"]["instructions"].as_str().unwrap();
        assert!(instructions.contains("CONTAINARIUM_SSH_KEY_FILE"));
        let card = &with(3)["result"]["tools"][0];
        assert!(
            card["description"]
                .as_str()
                .unwrap()
                .contains("CONTAINARIUM_SSH_KEY_FILE")
        );
        let result = &with(2)["result"];
        let stderr = text(&output.stderr);
        if there {
            assert_eq!(stderr, "");
            assert_eq!(daemon.asked()[0].1["sshKeys"], serde_json::json!([KEY]));
            let message = result["structuredContent"]["message"].as_str().unwrap();
            assert!(message.contains("the one of ~/id.pub"), "{message}");
        } else {
            let why = "CONTAINARIUM_SSH_KEY_FILE names ~/id.pub, which cannot be read: ";
            assert!(stderr.starts_with(&format!("warning: {why}")), "{stderr}");
            assert_eq!(result["isError"], true, "{result}");
            let told = result["content"][0]["text"].as_str().unwrap();
            assert!(told.contains(why), "{told}");
            assert_eq!(daemon.asked(), []);
        }
    }
}
