//! A state directory on a disk that is full, or cannot be written.

use std::{fs, path::Path, process::Command, sync::Arc};

use containarium_core::{Harm, Store, StoreError};
use containarium_testkit::{Bed, Key, TestDaemon};
use serde_json::json;
use tempfile::TempDir;

use crate::SOON;

/// A file system in memory with a copy of the bed's store; gone when dropped.
struct Disk(Arc<TempDir>);

impl Disk {
    fn with_state(bed: &Bed) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m,mode=700", "containarium-test"]);
        assert!(mount.arg(dir.path()).status().unwrap().success());
        let disk = Self(Arc::new(dir));
        for file in fs::read_dir(&bed.state).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), disk.path().join(file.file_name())).unwrap();
            }
        }
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all that is free.
    fn fill(&self) {
        let file = self.path().join("ballast");
        let zeros = [0; 4096];
        let mut ballast = fs::File::create(file).unwrap();
        loop {
            match std::io::Write::write(&mut ballast, &zeros) {
                Ok(4096) => {}
                Ok(_) => break,
                Err(e) => {
                    assert_eq!(e.kind(), std::io::ErrorKind::StorageFull);
                    break;
                }
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once from here, and wholly when the last file of it is closed.
        let mut umount = Command::new("umount");
        let done = umount.arg("--lazy").arg(self.path()).status();
        assert!(done.unwrap().success() || std::thread::panicking());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_state_directory_changes_are_refused_reads_go_on_and_room_is_enough_to_recover()
{
    let Some(bed) = Bed::made().await else {
        return;
    };
    let disk = Disk::with_state(&bed);
    let daemon = TestDaemon::with(disk.0.clone(), &bed.socket).await;
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    disk.fill();
    for _ in 0..3 {
        let refused = daemon.ask_to_create("bob", &key, json!({})).await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (507, "insufficient_storage"),
            "{refused:?}"
        );
    }
    let deletion = "/v1/containers/alice?force=true&purge=true";
    let kept = daemon.ask_as_admin("DELETE", deletion, None).await;
    assert_eq!(kept.status, 507, "{kept:?}");
    // Reads go on, nothing is half made, and who is there stays.
    let listed = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.json();
    assert_eq!(
        listed["containers"].as_array().unwrap().len(),
        1,
        "{listed}"
    );
    assert_eq!(listed["containers"][0]["username"], "alice");
    let got = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(got.status, 200, "{got:?}");
    key.login(&alice).says("true").await;
    assert_eq!(bed.instances().await.len(), 1);

    // The same daemon, with room.
    disk.free();
    key.login(&daemon.create("bob", &key).await)
        .says("true")
        .await;
    daemon.delete("alice").await;
    daemon.delete("bob").await;
    bed.emptied(SOON).await;
    daemon.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_written_is_refused_and_says_so() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let disk = Disk::with_state(&bed);
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro"]).arg(disk.path());
    assert!(remount.status().unwrap().success());
    for refused in [
        Store::open(disk.path()).map(drop).unwrap_err(),
        Store::alone(disk.path()).await.map(drop).unwrap_err(),
    ] {
        let StoreError::Unsound(unsound) = refused else {
            panic!("{refused}");
        };
        assert_eq!(unsound.harm, Harm::ReadOnly);
    }
}
