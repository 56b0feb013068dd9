//! The program itself, against a daemon that is made up: what it prints, and what it ends with.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

use std::process::{Output, Stdio};

use axum::{Router, extract::Request, http::StatusCode};
use containarium_contract::{Face, INVALID_TOKEN, Problem, Reason};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command};

mod mcp_doctor;
mod mcp_endpoint;
mod mcp_install;
mod operations;
mod servers;
mod simulation;
mod state_dir;

/// A daemon that gives every request the same answer.
async fn daemon(status: u16, body: impl Into<String>) -> String {
    let body = body.into();
    let app = Router::new().fallback(async move |request: Request| {
        assert_eq!(request.headers()[Face::HEADER], "cli");
        assert_eq!(request.headers()["authorization"], "Bearer eyJtest");
        (StatusCode::from_u16(status).unwrap(), body)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn run(url: &str, line: &str) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_containarium"))
        .args(line.split_whitespace())
        .env_clear()
        .env("CONTAINARIUM_SERVER_URL", url)
        .env("CONTAINARIUM_JWT_TOKEN", "eyJtest")
        .stdin(Stdio::null())
        .output();
    command.await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

async fn refused(status: u16, body: impl Into<String>) -> (i32, String) {
    let output = run(&daemon(status, body).await, "get alice").await;
    assert_eq!(text(&output.stdout), "");
    (
        output.status.code().unwrap(),
        text(&output.stderr).to_owned(),
    )
}

fn info() -> Value {
    json!({ "info": { "engine": "ok", "defaultImage": "images:ubuntu/24.04", "containersTotal": 3 } })
}

#[tokio::test]
async fn an_answer_is_a_table_or_the_servers_json() {
    let url = daemon(200, info().to_string()).await;
    let table = run(&url, "info").await;
    assert_eq!(
        text(&table.stdout),
        "Engine:         ok\nDefault image:  images:ubuntu/24.04\nContainers:     3\n"
    );
    assert_eq!(text(&table.stderr), "");
    let json = run(&url, "info -o json").await;
    assert_eq!(
        serde_json::from_slice::<Value>(&json.stdout).unwrap(),
        info()
    );
    let yaml = run(&url, "info -o yaml").await;
    assert_eq!(
        text(&yaml.stdout),
        "info:\n  engine: ok\n  defaultImage: images:ubuntu/24.04\n  containersTotal: 3\n"
    );
}

#[tokio::test]
async fn every_failure_has_its_code_its_error_and_its_hint() {
    for (reason, code) in [
        (Reason::NotFound, 4),
        (Reason::NotStopped, 5),
        (Reason::Busy, 5),
        (Reason::Forbidden, 6),
        (Reason::EngineUnavailable, 7),
        (Reason::InvalidValue, 2),
        (Reason::Internal, 1),
    ] {
        let problem = Problem::new(reason, "it is so").with_hint("do this");
        let told = refused(reason.status(), problem.to_body()).await;
        assert_eq!(
            told,
            (code, "error: it is so\nhint: do this\n".to_owned()),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_token_says_how_to_make_a_good_one() {
    let (code, stderr) = refused(401, INVALID_TOKEN).await;
    assert_eq!(code, 6);
    assert!(
        stderr.starts_with("error: invalid token\nhint: the token has expired"),
        "{stderr}"
    );
}

#[tokio::test]
async fn no_token_says_so_before_anything_is_asked() {
    let output = Command::new(env!("CARGO_BIN_EXE_containarium"))
        .arg("list")
        .env_clear()
        // Where no secret is: this machine may have an installation of its own.
        .env("CONTAINARIUM_STATE_DIR", "/nowhere")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(6));
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with("error: there is no token\nhint: on the server, run `"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let output = run(&format!("http://{address}"), "list").await;
    assert_eq!(output.status.code(), Some(7));
    let stderr = text(&output.stderr);
    let error = format!("error: request failed: dial tcp {address}: connection refused\nhint: ");
    assert!(stderr.starts_with(&error), "{stderr}");
}

#[tokio::test]
async fn a_deletion_without_a_terminal_needs_a_yes() {
    let deleted = json!({
        "message": "alice-container is deleted", "containerName": "alice-container",
        "deletedUntil": null
    });
    let url = daemon(200, deleted.to_string()).await;
    let asked = run(&url, "delete alice --force").await;
    assert_eq!(asked.status.code(), Some(2));
    assert_eq!(
        text(&asked.stderr),
        "error: deleting alice-container needs a yes\n\
         hint: run `containarium delete alice --force --yes`\n"
    );
    let done = run(&url, "delete alice --yes").await;
    assert!(done.status.success());
    assert_eq!(text(&done.stdout), "alice-container is deleted\n");
    // No colour and no progress where there is no terminal.
    assert_eq!(text(&done.stderr), "");
}

#[tokio::test]
async fn a_bad_command_line_ends_with_2_and_help_lists_the_codes() {
    let url = "http://127.0.0.1:1";
    assert_eq!(
        run(url, "create alice --cpu none").await.status.code(),
        Some(2)
    );
    assert_eq!(run("localhost:8080", "list").await.status.code(), Some(2));
    let help = run(url, "--help").await;
    assert!(text(&help.stdout).contains("Exit codes:\n  0  done\n"));
    let version = run(url, "version").await;
    assert_eq!(
        text(&version.stdout),
        concat!("containarium ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[tokio::test]
async fn a_server_without_an_engine_is_told_so_and_nothing_is_made() {
    let empty = tempfile::tempdir().unwrap();
    let (state, socket) = (empty.path().join("state"), empty.path().join("unix.socket"));
    let line = format!(
        "doctor --state-dir {} --engine unix:{}",
        state.display(),
        socket.display()
    );
    let json = run("http://127.0.0.1:1", &format!("{line} -o json")).await;
    assert_eq!(json.status.code(), Some(8), "{}", text(&json.stderr));
    let answer: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["worst"], "problem");
    let findings = answer["findings"].as_array().unwrap();
    let of = |check: &str| findings.iter().find(|finding| finding["check"] == check);
    let engine = of("engine").unwrap();
    assert_eq!(engine["verdict"], "problem");
    assert!(engine["run"][0].is_string(), "{engine}");
    assert_eq!(of("store").unwrap()["run"][0], "containarium init");
    assert_eq!(of("probes").unwrap()["verdict"], "unknown");
    for finding in findings {
        let found = finding["found"].as_str().unwrap();
        assert!(!found.is_empty(), "{finding}");
    }

    let table = run("http://127.0.0.1:1", &format!("{line} --quick")).await;
    let drawn = text(&table.stdout);
    assert!(drawn.starts_with("PROBLEM  engine"), "{drawn}");
    assert!(
        text(&table.stderr).starts_with("error: there "),
        "{table:?}"
    );
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}
