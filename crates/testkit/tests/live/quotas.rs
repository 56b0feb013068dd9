//! What keeps every container's disk quota in force.

use std::{
    fs,
    path::{Path, PathBuf},
};

use containarium_testkit::{Bed, Key};

use crate::{full::synced, start};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_large_deletion_does_not_end_the_disk_quotas_of_the_others() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let qgroups = qgroups(&bed);
    assert_eq!(read(&qgroups, "inconsistent"), "0");
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    // Any tree is as high as this: as if alice's were a very large one.
    fs::write(qgroups.join("drop_subtree_threshold"), "1").unwrap();
    let files = "mkdir t && cd t && for i in $(seq 4000); do echo $i > $i; done && sync";
    key.login(&alice).says(files).await;
    daemon.delete("alice").await;
    assert_eq!(read(&qgroups, "drop_subtree_threshold"), "8");

    synced(&bed.pool());
    assert_eq!(read(&qgroups, "inconsistent"), "0");
    let bob = daemon.create("bob", &key).await;
    let write = "dd if=/dev/zero of=big bs=1M count=4000 conv=fsync";
    key.login(&bob).refuses(write).await;
}
