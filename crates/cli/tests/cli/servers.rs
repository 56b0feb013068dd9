//! Which server is asked, with which token: saved contexts, and this machine's own daemon.

use std::{path::Path, process::Stdio};

use axum::{Router, extract::Request};
use containarium_core::token;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command};

use super::{info, text};

/// A daemon whose host's name is the token that it was asked with.
async fn echo() -> String {
    let app = Router::new().fallback(async |request: Request| {
        let token = request.headers()["authorization"].to_str().unwrap();
        let mut answer = info();
        answer["info"]["hostname"] = token.trim_start_matches("Bearer ").into();
        answer.to_string()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// A person with a home and an environment of their own.
struct Person {
    home: TempDir,
}

struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Person {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    async fn runs(&self, line: &str, variables: &[(&str, &str)], stdin: &str) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_containarium"))
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("CONTAINARIUM_STATE_DIR", self.home.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may have ended before it read.
        let _written = input.write_all(stdin.as_bytes()).await;
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        Said {
            status: output.status.code().unwrap(),
            stdout: text(&output.stdout).to_owned(),
            stderr: text(&output.stderr).to_owned(),
        }
    }

    async fn does(&self, line: &str, stdin: &str) -> String {
        let said = self.runs(line, &[], stdin).await;
        assert_eq!(said.status, 0, "{line}: {}", said.stderr);
        said.stdout
    }

    /// The token that a call is made with.
    async fn token_of(&self, line: &str, variables: &[(&str, &str)]) -> String {
        let said = self.runs(&format!("{line} -o json"), variables, "").await;
        assert_eq!(said.status, 0, "{line}: {}", said.stderr);
        let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        answer["info"]["hostname"].as_str().unwrap().to_owned()
    }

    fn home(&self) -> &Path {
        self.home.path()
    }
}

#[tokio::test]
async fn a_login_is_remembered_until_it_is_removed() {
    let (me, work, lab) = (Person::new(), echo().await, echo().await);
    let said = me
        .does(&format!("login work --server {work}"), "eyJwork\n")
        .await;
    assert_eq!(
        said,
        format!("{work} answers; it is the context `work`, and the current one.\n")
    );
    let file = me.home().join("lab.token");
    std::fs::write(&file, "eyJlab").unwrap();
    me.does(
        &format!("login lab --server {lab} --token-file {}", file.display()),
        "",
    )
    .await;
    assert_eq!(me.token_of("info", &[]).await, "eyJlab");
    std::fs::write(&file, "eyJrenewed").unwrap();
    assert_eq!(me.token_of("info", &[]).await, "eyJrenewed");
    assert_eq!(me.token_of("info --context work", &[]).await, "eyJwork");
    let by_variable = [("CONTAINARIUM_CONTEXT", "work")];
    assert_eq!(me.token_of("info", &by_variable).await, "eyJwork");
    // A server that was saved is known by its URL; one that was not gets nobody's token.
    assert_eq!(
        me.token_of(&format!("info --server {work}"), &[]).await,
        "eyJwork"
    );
    let other = echo().await;
    let refused = me.runs(&format!("info --server {other}"), &[], "").await;
    assert_eq!(refused.status, 6, "{}", refused.stdout);

    let list = me.does("context list", "").await;
    assert!(
        list.contains("lab") && list.contains(&work) && !list.contains("eyJ"),
        "{list}"
    );
    me.does("context use work", "").await;
    assert_eq!(me.token_of("info", &[]).await, "eyJwork");
    me.does("context remove work", "").await;
    let gone = me.runs("context use work", &[], "").await;
    assert_eq!(gone.status, 3);
    assert!(
        gone.stderr
            .contains("there is no context `work`; there are: lab"),
        "{}",
        gone.stderr
    );
}

#[tokio::test]
async fn a_login_that_does_not_work_is_not_saved() {
    let me = Person::new();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let said = me
        .runs(&format!("login x --server {nobody}"), &[], "eyJ")
        .await;
    assert_eq!(said.status, 7, "{}", said.stderr);
    let said = me
        .runs(&format!("login x --server {}", echo().await), &[], "")
        .await;
    assert_eq!(said.status, 6, "{}", said.stderr);
    let said = me.runs("login x", &[], "eyJ").await;
    assert_eq!(said.status, 2, "{}", said.stderr);
    assert!(
        me.does("context list", "")
            .await
            .starts_with("no context is saved")
    );
}

#[tokio::test]
async fn whoever_may_read_the_servers_secret_needs_no_token_there() {
    let (me, here) = (Person::new(), echo().await);
    let secret = "a secret of at least thirty-two bytes";
    std::fs::write(me.home().join("jwt.secret"), secret).unwrap();
    let variables = [("SUDO_USER", "alice"), ("USER", "root")];
    let made = me
        .token_of(&format!("info --server {here}"), &variables)
        .await;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let secret = secret.as_bytes().to_vec().into();
    let claims = token::verify(&secret, &made, now).unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.roles.join(",")),
        ("alice", "admin".to_owned())
    );
    assert!(claims.exp <= now + 61, "it is good for a minute");
    // Made for this machine's daemon, and for no other.
    let away = me
        .runs("info --server http://192.0.2.1:8080", &[], "")
        .await;
    assert_eq!(away.status, 6, "{}", away.stderr);
}

#[tokio::test]
async fn the_tools_are_served_by_the_same_program() {
    let (me, here) = (Person::new(), echo().await);
    let variables = [
        ("CONTAINARIUM_SERVER_URL", here.as_str()),
        ("CONTAINARIUM_JWT_TOKEN", "eyJ"),
    ];
    let hello = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}\n";
    let said = me.runs("mcp", &variables, hello).await;
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["result"]["serverInfo"]["name"], "containarium");
}

#[tokio::test]
async fn shells_learn_the_command_line() {
    let me = Person::new();
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef"),
        ("fish", "complete -c"),
    ] {
        let script = me.does(&format!("completions {shell}"), "").await;
        assert!(
            script.contains(word) && script.contains("metrics"),
            "{shell}"
        );
    }
    if let Ok(bash) = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() {
        let script = me.does("completions bash", "").await;
        let mut bash = bash;
        bash.stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .await
            .unwrap();
        assert!(bash.wait().await.unwrap().success());
    }
}
