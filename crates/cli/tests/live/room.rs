//! A pool without room: what is there can still be stopped, deleted and brought back.

use containarium_testkit::chaos::{clean, key};
use serde_json::json;

use super::start;

/// Files that take all that is free of a file system, gone when dropped.
struct Ballast(Vec<std::path::PathBuf>);

impl Ballast {
    fn of(dir: &std::path::Path) -> Self {
        let mut files = Vec::new();
        for size in [
            "16G", "4G", "1G", "256M", "64M", "16M", "4M", "1M", "64K", "4K",
        ] {
            loop {
                let file = dir.join(format!("ballast-{}", files.len()));
                let mut take = std::process::Command::new("fallocate");
                let taken = take.args(["-l", size]).arg(&file).output().unwrap();
                files.push(file);
                if !taken.status.success() {
                    break;
                }
            }
        }
        Self(files)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        for file in &self.0 {
            let _gone = std::fs::remove_file(file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_containers_are_stopped_started_deleted_and_brought_back() {
    let Some((under, mut life)) = start().await else {
        return;
    };
    let calls = life.calls();
    calls.ready(under.patience()).await;
    for name in ["alice", "bob"] {
        let small = json!({
            "username": name, "resources": {"cpu": "1", "memory": "512MiB", "disk": "3GB"},
        });
        calls
            .does("POST", "/v1/containers", &key(), Some(&small))
            .await;
    }
    {
        let _ballast = Ballast::of(&under.pool().unwrap());
        let (force, none) = (json!({"force": true}), json!({}));
        let does =
            async |method: &str, path: &str, body| calls.does(method, path, &key(), body).await;
        does("POST", "/v1/containers/alice/stop", Some(&force)).await;
        does("DELETE", "/v1/containers/alice?force=true", None).await;
        does("POST", "/v1/containers/alice/undelete", Some(&none)).await;
        does("DELETE", "/v1/containers/alice?force=true", None).await;
        does("DELETE", "/v1/containers/bob?force=true&purge=true", None).await;
    }
    clean(&calls, &under).await;
    calls
        .does(
            "POST",
            "/v1/containers/alice/undelete",
            &key(),
            Some(&json!({})),
        )
        .await;
    clean(&calls, &under).await;
    life.stop().await;
}
