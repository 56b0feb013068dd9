//! A state directory that is lost, and the installation that it was of.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use containarium_core::{
    Installation, Store,
    images::Remotes,
    setup::{self, Init, PoolChoice, SetupError},
};
use containarium_testkit::{Bed, Key, TestDaemon, program, wait_for};
use serde_json::{Value, json};

use super::{SOON, start, tagged};

/// `init` without its images, which are there.
async fn init(bed: &Bed, state_dir: &Path, recover: bool) -> Result<Installation, SetupError> {
    let ask = Init {
        name: bed.installation.name.clone(),
        state_dir: state_dir.to_owned(),
        engine: bed.socket.clone(),
        pool: PoolChoice::File(None),
        driver: None,
        subnet: None,
        image: None,
        remotes: Remotes::default(),
        recover,
    };
    setup::lay_out(&ask, &|_| {}).await
}

/// What the program itself says to an `init` of the bed's name.
fn said(bed: &Bed, state_dir: &Path) -> (Option<i32>, String) {
    let ran = Command::new(program("containarium"))
        .args(["init", "--name", &bed.installation.name, "--state-dir"])
        .arg(state_dir)
        .arg("--engine")
        .arg(format!("unix:{}", bed.socket.display()))
        .output()
        .unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_whose_state_directory_is_lost_is_the_same_after_init_recover() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let alice = key.login(&daemon.create("alice", &key).await);
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");

    // While a daemon of it lives, nobody takes it over, whatever he says.
    for recover in [false, true] {
        let refused = init(&bed, &state, recover).await.unwrap_err();
        assert!(matches!(refused, SetupError::Served { .. }), "{refused}");
    }
    assert!(!state.exists(), "refusing made something");

    // With it goes its state directory.
    daemon.stopped().await;
    let (code, told) = said(&bed, &state);
    assert_eq!(code, Some(5), "{told}");
    let command = format!(
        "hint: run `containarium init --name {} --state-dir {} --recover`",
        bed.installation.name,
        state.display()
    );
    assert!(told.contains(&command), "{told}");
    assert!(told.contains(&bed.installation.id), "{told}");
    assert!(!state.exists(), "refusing made something");

    let found = init(&bed, &state, true).await.unwrap();
    assert_eq!(found, bed.installation);
    let (store, _lock) = Store::alone(&state).await.unwrap();
    assert_eq!(store.installation().await.unwrap(), bed.installation);
    alice.says("true").await;
}

/// All that is told of all containers, but for what a store alone knows.
async fn all(daemon: &TestDaemon) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/v1/containers", "/v1/containers?state=deleted"] {
        let list = daemon.ask_as_admin("GET", path, None).await.json();
        let listed = list.get("containers").and_then(Value::as_array).cloned();
        for mut one in listed.unwrap() {
            for history in ["updatedAt", "lastExit"] {
                one.as_object_mut().unwrap().remove(history);
            }
            all.push(one);
        }
    }
    all
}

async fn are(daemon: &TestDaemon, wanted: &[Value]) {
    wait_for(SOON, "all are as they were", async || {
        let now = all(daemon).await;
        if now == wanted { Ok(()) } else { Err(now) }
    })
    .await;
}

/// Adopts all that no row knows.
async fn adopted(daemon: &TestDaemon) -> Value {
    let ask = Some(json!({"all": true}));
    let adopted = daemon.ask_as_admin("POST", "/v1/admin/adopt", ask).await;
    assert_eq!(adopted.status, 200, "{adopted:?}");
    adopted.json().get("adopted").cloned().unwrap()
}

fn store_files(state: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(state).unwrap().map(|entry| entry.unwrap());
    let named = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("containarium.db")
    };
    all.filter(named).map(|entry| entry.path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_before_and_one_that_is_lost_lose_no_container() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let alice = key.login(&daemon.create("alice", &key).await);
    alice.push(b"mine", "/home/alice/file").await;
    let bob = key.login(&daemon.create("bob", &key).await);
    let state = daemon.state_dir().to_owned();
    let backup = tempfile::tempdir().unwrap();
    let daemon = daemon
        .restarted_after(async || {
            for file in store_files(&state) {
                fs::copy(&file, backup.path().join(file.file_name().unwrap())).unwrap();
            }
        })
        .await;
    // What the copy does not know: one more, one that was stopped, one that was deleted.
    let carol = key.login(&daemon.create("carol", &key).await);
    for path in ["/v1/containers/bob/stop", "/v1/containers/bob/start"] {
        let changed = daemon.ask_as_admin("POST", path, None).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    daemon.create("dave", &key).await;
    let path = "/v1/containers/dave?force=true";
    let deleted = daemon.ask_as_admin("DELETE", path, None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    tagged(&bed.incus()).await;
    let before = all(&daemon).await;
    assert_eq!(before.len(), 4);

    let daemon = daemon
        .restarted_after(async || {
            for file in store_files(&state) {
                fs::remove_file(file).unwrap();
            }
            for file in store_files(backup.path()) {
                fs::copy(&file, state.join(file.file_name().unwrap())).unwrap();
            }
        })
        .await;
    assert_eq!(adopted(&daemon).await, json!(["carol", "dave"]));
    are(&daemon, &before).await;

    let installation = bed.installation.clone();
    let daemon = daemon
        .restarted_after(async || {
            for file in store_files(&state) {
                fs::remove_file(file).unwrap();
            }
            let store = Store::make(&state).unwrap();
            store.set_installation(&installation).await.unwrap();
        })
        .await;
    assert_eq!(all(&daemon).await, Vec::<Value>::new());
    assert_eq!(
        adopted(&daemon).await,
        json!(["alice", "bob", "carol", "dave"])
    );
    are(&daemon, &before).await;
    assert_eq!(alice.says("cat file").await, "mine");
    for login in [&bob, &carol] {
        login.says("true").await;
    }
    let back = daemon
        .ask_as_admin("POST", "/v1/containers/dave/undelete", None)
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    wait_for(SOON, "nothing is left behind", async || {
        let leaks = daemon.ask_as_admin("GET", "/v1/admin/leaks", None).await;
        if leaks.json() == json!({"leaks": [], "engine": "ok"}) {
            Ok(())
        } else {
            Err(leaks)
        }
    })
    .await;
}
