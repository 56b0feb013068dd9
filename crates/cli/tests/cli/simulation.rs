//! `containarium daemon --engine sim`, as whoever has only read that line meets it.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::text;

const PROGRAM: &str = env!("CARGO_BIN_EXE_containarium");
const SOON: Duration = Duration::from_secs(30);
const SIMULATED: &str = "SIMULATED: nothing real is created.\n";

/// A daemon, and the lines that it tells a person to type.
pub(crate) struct Simulation {
    daemon: Child,
    pub(crate) exports: String,
}

impl Simulation {
    /// Without rights, variables or files but a home.
    async fn start(home: &Path) -> Self {
        let line = ["daemon", "--engine", "sim", "--port", "0"];
        Self::started(home, &line, &[]).await
    }

    pub(crate) async fn started(home: &Path, line: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut daemon = Command::new(PROGRAM)
            .args(line)
            .env_clear()
            .envs(variables.iter().copied())
            .env("HOME", home)
            .env("TMPDIR", home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(daemon.stdout.take().unwrap()).lines();
        let line = async || {
            timeout(SOON, told.next_line())
                .await
                .unwrap()
                .unwrap()
                .unwrap()
        };
        let (mut line, mut exports) = (line, String::new());
        let first = line().await;
        assert!(
            SIMULATED.starts_with(&first[..SIMULATED.len() - 1]),
            "{first}"
        );
        while !exports.contains("JWT_TOKEN") {
            let line = line().await;
            if line.trim_start().starts_with("export ") {
                exports += &line;
                exports += "\n";
            }
        }
        Self { daemon, exports }
    }

    /// What a person's shell says to `line` after those lines; stdout and stderr.
    async fn typed(&self, line: &str) -> (String, String) {
        let script = format!("{}{}", self.exports, line.replace("containarium", PROGRAM));
        let shell = Command::new("sh")
            .args(["-euc", &script])
            .env_clear()
            .output();
        let said = timeout(SOON, shell).await.unwrap().unwrap();
        (text(&said.stdout).to_owned(), text(&said.stderr).to_owned())
    }

    pub(crate) async fn end(mut self) {
        let pid = self.daemon.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(asked.unwrap().success());
        let ended = timeout(SOON, self.daemon.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

#[tokio::test]
async fn everything_but_a_login_works_and_says_that_it_is_simulated() {
    let home = tempfile::tempdir().unwrap();
    let simulation = Simulation::start(home.path()).await;
    for (line, says) in [
        ("containarium create alice", "alice-container is ready"),
        (
            "containarium create bob --cpu 2 --no-docker",
            "bob-container is ready",
        ),
        ("containarium list", "alice     running"),
        ("containarium get alice", "alice-container"),
        ("containarium metrics", "bob-container"),
        ("containarium info", "sim (nothing real is created)"),
        ("containarium stop alice", "alice-container is stopped."),
        ("containarium start alice", "alice-container is running."),
        (
            "containarium delete bob --force --yes",
            "bob-container is deleted. It is kept until",
        ),
    ] {
        let (out, err) = simulation.typed(line).await;
        assert!(out.contains(says), "{line}: {out}{err}");
        assert_eq!(err, SIMULATED, "{line}");
    }
    let (out, err) = simulation.typed("containarium get nix || true").await;
    assert_eq!(out, "");
    let error = format!("{SIMULATED}error: there is no container of nix\n");
    assert!(err.starts_with(&error), "{err}");
    let (out, _) = simulation.typed("containarium metrics alice -o json").await;
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    for (field, value) in told["metrics"][0].as_object().unwrap() {
        assert!(
            value.is_string() || value.as_u64().unwrap() > 0,
            "{field} is nothing: {told}"
        );
    }
    simulation.end().await;
}

#[tokio::test]
async fn a_delete_is_taken_back_and_what_happened_is_told() {
    let home = tempfile::tempdir().unwrap();
    let line = ["daemon", "--engine", "sim", "--port", "0"];
    let kept = [("CONTAINARIUM_RETENTION", "2h")];
    let simulation = Simulation::started(home.path(), &line, &kept).await;
    let said = async |line: &str| {
        let (out, err) = simulation.typed(line).await;
        assert_eq!(err, SIMULATED, "{line}: {out}");
        out
    };
    said("containarium create alice --label team=red").await;
    let deleted = said("containarium delete alice --force --yes -o json").await;
    let deleted: serde_json::Value = serde_json::from_str(&deleted).unwrap();
    let until = deleted["deletedUntil"].as_str().unwrap();
    let long = humantime::parse_rfc3339(until).unwrap();
    let long = long.duration_since(std::time::SystemTime::now()).unwrap();
    assert!((7_000..=7_200).contains(&long.as_secs()), "{long:?}");
    let message = deleted["message"].as_str().unwrap();
    assert!(
        message.contains("`containarium undelete alice`"),
        "{message}"
    );

    assert!(!said("containarium list").await.contains("alice"));
    let kept = said("containarium list --state deleted").await;
    assert!(
        kept.contains("  deleted  ") && kept.contains(until),
        "{kept}"
    );
    // By the id that the list shows of it.
    let line = kept
        .lines()
        .find(|line| line.starts_with("alice "))
        .unwrap();
    let id = line.split_whitespace().nth(1).unwrap();
    said(&format!("containarium undelete alice --id {id}")).await;
    let back = said("containarium get alice").await;
    assert!(
        back.contains("team=red") && back.contains("by admin"),
        "{back}"
    );

    let begun = said("containarium create bob --no-wait").await;
    let follow = begun.lines().last().unwrap().split_once(":  ").unwrap().1;
    let ready = said(follow).await;
    assert!(ready.starts_with("bob-container is ready"), "{ready}");
    let id = follow.rsplit_once(' ').unwrap().1;
    let shown = said(&format!("containarium operation get {id}")).await;
    assert!(shown.contains("succeeded, 100 %"), "{shown}");
    let all = said("containarium operation list --target alice").await;
    let kinds: Vec<&str> = all
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(kinds, ["undelete", "delete", "create"]);

    said("containarium delete alice --force --purge --yes").await;
    let (out, err) = simulation
        .typed("containarium undelete alice || true")
        .await;
    assert!(
        out.is_empty() && err.contains("no deleted container of alice"),
        "{err}"
    );
    let leaks = said("containarium admin leaks").await;
    assert_eq!(leaks, "nothing is left behind\n");
    simulation.end().await;
}

#[tokio::test]
async fn what_was_made_ends_with_it_and_a_token_does_not() {
    let home = tempfile::tempdir().unwrap();
    let first = Simulation::start(home.path()).await;
    first.typed("containarium create alice").await;
    let (token, _) = first.typed("echo $CONTAINARIUM_JWT_TOKEN").await;
    first.end().await;
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".local"], "only the secret is left");

    let second = Simulation::start(home.path()).await;
    let line = format!("CONTAINARIUM_JWT_TOKEN={} containarium list", token.trim());
    let (out, err) = second.typed(&line).await;
    assert!(!out.contains("alice") && err == SIMULATED, "{out}{err}");
    second.end().await;
}

#[tokio::test]
async fn there_is_nothing_to_prepare_or_to_remove() {
    for verb in ["init", "purge"] {
        let refused = Command::new(PROGRAM)
            .args([verb, "--engine", "sim"])
            .env_clear()
            .output();
        let refused = refused.await.unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(
            said.contains("`containarium daemon --engine sim`"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn every_option_may_be_a_variable() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let secret = "a secret that is long enough to be good";
    let variables = [
        ("CONTAINARIUM_ENGINE", "sim"),
        ("CONTAINARIUM_ADDRESS", "127.0.0.2"),
        ("CONTAINARIUM_PORT", "0"),
        ("CONTAINARIUM_STATE_DIR", state.to_str().unwrap()),
        ("CONTAINARIUM_REST", "true"),
        ("CONTAINARIUM_REQUIRE_TLS", "1"),
    ];
    let simulation = Simulation::started(home.path(), &["daemon"], &variables).await;
    assert!(
        simulation.exports.contains("=http://127.0.0.2:"),
        "{}",
        simulation.exports
    );
    let (out, err) = simulation.typed("containarium list").await;
    assert_eq!(err, SIMULATED, "{out}");
    assert!(state.join("jwt.secret").exists());
    simulation.end().await;

    // A secret of one's own, which is not shown.
    let variables = [
        ("CONTAINARIUM_ENGINE", "sim"),
        ("CONTAINARIUM_PORT", "0"),
        ("CONTAINARIUM_JWT_SECRET", secret),
    ];
    let file = home.path().join("secret");
    std::fs::write(&file, secret).unwrap();
    let mut simulation = Simulation::started(home.path(), &["daemon"], &variables).await;
    assert!(
        !simulation.exports.contains(secret),
        "{}",
        simulation.exports
    );
    let file = file.to_str().unwrap();
    simulation.exports = simulation.exports.replace("A_FILE_WITH_THE_SECRET", file);
    let (out, err) = simulation.typed("containarium list").await;
    assert_eq!(err, SIMULATED, "{out}");
    simulation.end().await;
    for line in [&["daemon", "--help"][..], &["token", "generate", "--help"]] {
        let help = Command::new(PROGRAM)
            .args(line)
            .env_clear()
            .envs(variables)
            .output();
        let help = help.await.unwrap();
        assert!(!text(&help.stdout).contains(secret));
    }
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_where_tls_is_required() {
    let home = tempfile::tempdir().unwrap();
    let refused = Command::new(PROGRAM)
        .args([
            "daemon",
            "--engine",
            "sim",
            "--port",
            "0",
            "--address",
            "0.0.0.0",
        ])
        .arg("--require-tls")
        .env_clear()
        .env("HOME", home.path())
        .output();
    let refused = timeout(SOON, refused).await.unwrap().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert_eq!(
        text(&refused.stderr),
        "error: other machines reach 0.0.0.0, there is no TLS, and --require-tls forbids that\n\
         hint: listen on 127.0.0.1, behind a proxy that speaks TLS; or do without --require-tls\n"
    );
    assert_eq!(text(&refused.stdout), "");
}

#[tokio::test]
async fn without_that_it_starts_and_warns() {
    let home = tempfile::tempdir().unwrap();
    let mut daemon = Command::new(PROGRAM)
        .args([
            "daemon",
            "--engine",
            "sim",
            "--port",
            "0",
            "--address",
            "0.0.0.0",
        ])
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let first = timeout(SOON, log.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        first.contains("WARN") && first.contains("without TLS"),
        "{first}"
    );
    daemon.kill().await.unwrap();
}
