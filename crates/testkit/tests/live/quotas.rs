//! What keeps every container's disk quota in force.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use containarium_incus::StateChange;
use containarium_testkit::{Bed, Key, wait_for};

use super::{
    full::synced,
    start,
    state::{CHANGE, past_us},
};

/// Of so many a tree is at least as high as the threshold that the tests set.
const MANY_FILES: &str = "mkdir t && cd t && for i in $(seq 4000); do echo $i > $i; done && sync";
/// More than a test's container may have.
const TOO_MUCH: &str = "dd if=/dev/zero of=big bs=1M count=4000 conv=fsync";

/// The quotas of the pool's file system in sysfs.
fn qgroups(bed: &Bed) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let pool = bed.pool().display().to_string();
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(&pool))
        .unwrap();
    let device = line.split(' ').next().unwrap().rsplit('/').next().unwrap();
    let found = fs::read_dir("/sys/fs/btrfs").unwrap().flatten();
    let mut found = found.map(|entry| entry.path());
    let of = found.find(|path| path.join("devices").join(device).exists());
    of.unwrap().join("qgroups")
}

fn read(qgroups: &Path, name: &str) -> String {
    let text = fs::read_to_string(qgroups.join(name)).unwrap();
    text.trim().to_owned()
}

/// Waits until btrfs has done what an earlier test left it: it deletes and counts in the background.
fn settled(bed: &Bed) {
    synced(&bed.pool());
    let mut rescan = Command::new("btrfs");
    let ended = rescan.args(["quota", "rescan", "-W"]).arg(bed.pool());
    assert!(ended.status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_deletion_does_not_end_the_disk_quotas_of_the_others() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let qgroups = qgroups(&bed);
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    settled(&bed);
    assert_eq!(read(&qgroups, "inconsistent"), "0");
    // Any tree is as high as this: as if alice's were a very large one.
    fs::write(qgroups.join("drop_subtree_threshold"), "1").unwrap();
    key.login(&alice).says(MANY_FILES).await;
    daemon.delete("alice").await;
    assert_eq!(read(&qgroups, "drop_subtree_threshold"), "8");

    synced(&bed.pool());
    assert_eq!(read(&qgroups, "inconsistent"), "0");
    let bob = daemon.create("bob", &key).await;
    key.login(&bob).refuses(TOO_MUCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_where_counting_has_stopped_is_counted_again() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let qgroups = qgroups(&bed);
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    key.login(&alice).says(MANY_FILES).await;
    let meanwhile = async || {
        settled(&bed);
        fs::write(qgroups.join("drop_subtree_threshold"), "1").unwrap();
        past_us(&bed, &StateChange::kill()).await;
        let name = bed.instances().await.remove(0).name;
        let begun = bed.incus().delete_instance(&name).await.unwrap();
        bed.incus().wait(&begun, CHANGE).await.unwrap();
        synced(&bed.pool());
        assert_eq!(read(&qgroups, "inconsistent"), "1");
    };
    let daemon = daemon.restarted_after(meanwhile).await;
    wait_for(CHANGE, "it counts again", async || {
        match read(&qgroups, "inconsistent").as_str() {
            "0" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    daemon.delete("alice").await;
    let bob = daemon.create("bob", &key).await;
    key.login(&bob).refuses(TOO_MUCH).await;
}
