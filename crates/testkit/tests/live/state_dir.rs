//! A state directory on a disk that is full, or cannot be written.

use std::{fs, path::Path, process::Command, sync::Arc};

use containarium_core::{Harm, Store, StoreError};
use containarium_testkit::{Bed, Key, TestDaemon, wait_for};
use serde_json::json;
use tempfile::TempDir;

use super::SOON;

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
async fn a_create_during_which_the_state_directory_fills_is_finished_when_there_is_room() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let disk = Disk::with_state(&bed);
    let daemon = TestDaemon::with(disk.0.clone(), &bed.socket).await;
    let key = Key::new();
    // It may end before the disk is full.
    for name in ["alice", "bob", "carol", "dave"] {
        let made = daemon.ask_to_create(name, &key, json!({}));
        let filled = async {
            let boots = wait_for(SOON, "it boots", async || {
                let path = format!("/v1/operations?target={name}");
                let list = daemon.ask_as_admin("GET", &path, None).await.json();
                let steps = list["operations"][0]["steps"].as_array().cloned();
                let mut steps = steps.into_iter().flatten();
                match steps.find(|step| step["name"] == "boot") {
                    Some(step) if step["state"] == "running" => Ok(()),
                    Some(_) | None => Err(list),
                }
            });
            boots.await;
            disk.fill();
        };
        let (made, ()) = tokio::join!(made, filled);
        if made.status == 201 {
            disk.free();
            continue;
        }
        // Nobody is told that it failed, for it is not over.
        assert_eq!(made.status, 503, "{made:?}");
        assert!(made.json()["error"].as_str().unwrap().contains("goes on"));
        assert!(made.header("retry-after").is_some(), "{made:?}");
        disk.free();
        let path = format!("/v1/containers/{name}");
        wait_for(SOON, "it is made", async || {
            let got = daemon.ask_as_admin("GET", &path, None).await;
            if got.json()["container"]["state"] == "running" {
                Ok(())
            } else {
                Err(got)
            }
        })
        .await;
        let path = format!("/v1/operations?target={name}");
        let list = daemon.ask_as_admin("GET", &path, None).await.json();
        assert_eq!(list["operations"][0]["state"], "succeeded", "{list}");
        daemon.stopped().await;
        return;
    }
    panic!("four creates ended before the disk was full");
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
