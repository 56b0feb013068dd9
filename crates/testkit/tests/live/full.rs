//! A create when the pool has no room.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use containarium_testkit::Key;
use serde_json::json;

use super::{SOON, start};

/// Files that fill a file system, gone when dropped.
pub(crate) struct Ballast(Vec<PathBuf>);

impl Ballast {
    /// Takes all that is free, in ever smaller pieces.
    pub(crate) fn in_dir(dir: &Path) -> Self {
        // What earlier tests deleted is freed later, and would be room again.
        synced(dir);
        let mut ballast = Self(Vec::new());
        for size in [
            "16G", "4G", "1G", "256M", "64M", "16M", "4M", "1M", "64K", "4K",
        ] {
            loop {
                let file = dir.join(format!("ballast-{}", ballast.0.len()));
                ballast.0.push(file.clone());
                let taken = Command::new("fallocate")
                    .args(["-l", size])
                    .arg(&file)
                    .output()
                    .unwrap();
                if !taken.status.success() {
                    break;
                }
            }
        }
        ballast
    }
}

/// Waits until the kernel has been through with what was deleted.
pub(crate) fn synced(pool: &Path) {
    let mut sync = Command::new("btrfs");
    let done = sync.args(["subvolume", "sync"]).arg(pool).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

impl Drop for Ballast {
    fn drop(&mut self) {
        for file in &self.0 {
            // One that could not be made is not there.
            let _gone = std::fs::remove_file(file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_without_room_fails_says_so_and_leaves_nothing() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let refused = {
        let _ballast = Ballast::in_dir(&bed.pool());
        daemon.ask_to_create("alice", &key, json!({})).await
    };
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (507, "insufficient_storage"),
        "{refused:?}"
    );
    bed.emptied(SOON).await;
    // With room again the name is free, and the daemon has not suffered.
    key.login(&daemon.create("alice", &key).await)
        .says("true")
        .await;
}
