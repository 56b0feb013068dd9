//! A state directory that is lost, and the installation that it was of.

use std::{path::Path, process::Command};

use containarium_core::{
    Installation, Store,
    images::Remotes,
    setup::{self, Init, PoolChoice, SetupError},
};
use containarium_testkit::{Bed, Key, program};

use crate::start;

/// `init` without its images, which are there.
async fn init(bed: &Bed, state_dir: &Path, recover: bool) -> Result<Installation, SetupError> {
    let ask = Init {
        name: bed.installation.name.clone(),
        state_dir: state_dir.to_owned(),
        engine: bed.socket.clone(),
        pool: PoolChoice::File(None),
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
