//! `containarium daemon` as a process, with a state directory that is used, lost or torn.

use std::{fs, path::Path, process::Stdio, time::Duration};

use containarium_simulated::Simulated;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::text;

const SOON: Duration = Duration::from_secs(30);

fn program(line: &str, there: &Simulated) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_containarium"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("CONTAINARIUM_STATE_DIR", there.state.path())
        .env(
            "CONTAINARIUM_ENGINE",
            format!("unix:{}", there.sim.socket().display()),
        )
        .env("CONTAINARIUM_PORT", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn installation(subnet: u8) -> Simulated {
    let images = ["local:debian/12".parse().unwrap()];
    Simulated::start(&images, subnet).await.unwrap()
}

/// A daemon that has said that it listens.
async fn daemon(there: &Simulated) -> Child {
    let mut daemon = program("daemon", there)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("listening") {
                return;
            }
        }
        panic!("it ended");
    };
    timeout(SOON, listening).await.unwrap();
    daemon
}

/// What it ends with, and says.
async fn refused(there: &Simulated) -> (i32, String) {
    let ended = timeout(SOON, program("daemon", there).output()).await;
    let ended = ended.unwrap().unwrap();
    (ended.status.code().unwrap(), text(&ended.stderr).to_owned())
}

#[tokio::test]
async fn the_second_daemon_of_a_state_directory_is_refused_until_the_first_has_ended() {
    let there = installation(61).await;
    let mut first = daemon(&there).await;
    let (code, told) = refused(&there).await;
    assert_eq!(code, 5, "{told}");
    let pid = format!("(pid {})", first.id().unwrap());
    assert!(told.contains(&pid), "{told}");
    let dir = there.state.path().display().to_string();
    assert!(told.contains(&dir), "{told}");
    assert!(told.contains("--state-dir"), "{told}");

    // Whoever is no daemon goes on beside it.
    let token = program("token generate --username admin --roles admin", &there).output();
    let token = timeout(SOON, token).await.unwrap().unwrap();
    assert!(token.status.success(), "{token:?}");
    let doctor = program("doctor --quick -o json", &there).output();
    let doctor = timeout(SOON, doctor).await.unwrap().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let store = findings.iter().find(|finding| finding["check"] == "store");
    assert_eq!(store.unwrap()["verdict"], "ok", "{found}");

    // SIGKILL: nothing of it could give the lock back.
    first.kill().await.unwrap();
    daemon(&there).await.kill().await.unwrap();
}

#[tokio::test]
async fn a_torn_store_is_refused_with_commands_and_told_the_same_by_doctor() {
    let there = installation(62).await;
    daemon(&there).await.kill().await.unwrap();
    let file = there.state.path().join("containarium.db");
    let bytes = fs::read(&file).unwrap();
    for (torn, says) in [(&b""[..], "is empty"), (&[7; 4096][..], "is no SQLite")] {
        fs::write(&file, torn).unwrap();
        let (code, told) = refused(&there).await;
        assert_eq!(code, 3, "{told}");
        let first = format!("error: {} {says}", file.display());
        assert!(told.starts_with(&first), "{told}");
        assert!(told.contains("\nhint: no container is lost: "), "{told}");
        let commands: Vec<&str> = told.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(commands.len(), 4, "{told}");
        assert_eq!(fs::read(&file).unwrap(), torn, "it was changed");
        let doctor = doctors(&there, "problem").await;
        for command in commands {
            assert!(
                doctor.iter().any(|line| line == command.trim()),
                "{doctor:?}"
            );
        }
    }
    fs::remove_file(&file).unwrap();
    let (code, told) = refused(&there).await;
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("is missing, and "), "{told}");
    assert!(!file.exists(), "it was made anew");
    doctors(&there, "problem").await;
    // What a copy brings back.
    for log in ["containarium.db-wal", "containarium.db-shm"] {
        forget(&there.state.path().join(log));
    }
    fs::write(&file, bytes).unwrap();
    daemon(&there).await.kill().await.unwrap();
}

fn forget(file: &Path) {
    if let Err(e) = fs::remove_file(file) {
        assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
    }
}

/// The commands that doctor names for the store.
async fn doctors(there: &Simulated, verdict: &str) -> Vec<String> {
    let doctor = program("doctor --quick -o json", there).output();
    let doctor = timeout(SOON, doctor).await.unwrap().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let store = findings.iter().find(|finding| finding["check"] == "store");
    let store = store.unwrap();
    assert_eq!(store["verdict"], verdict, "{store}");
    let lines = store["run"].as_array().unwrap().iter();
    lines
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}
