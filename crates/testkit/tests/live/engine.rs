//! The engine goes away in the middle of things.

use std::time::Duration;

use containarium_contract::Created;
use containarium_testkit::{Key, wait_for};
use serde_json::json;

use super::{SOON, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_create_in_the_middle_of_which_the_engine_is_killed_is_finished_when_it_is_back() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let (made, ()) = tokio::join!(daemon.ask_to_create("alice", &key, json!({})), async {
        wait_for(
            Duration::from_secs(20),
            "the instance is being made",
            async || {
                let there = bed.instances().await;
                if there.is_empty() { Err(()) } else { Ok(()) }
            },
        )
        .await;
        bed.kill_engine();
        wait_for(SOON, "it is told that the engine is away", async || {
            let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
            let told = (
                list.status,
                list.json()["engine"].as_str().map(str::to_owned),
            );
            if told == (200, Some("unreachable".to_owned())) {
                Ok(())
            } else {
                Err(told)
            }
        })
        .await;
        let ready = daemon.ask("GET", "/ready", None, None).await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert_eq!(daemon.ask("GET", "/health", None, None).await.status, 200);
        // Of a half-made one nobody is told that it is there.
        let alice = daemon
            .ask_as_admin("GET", "/v1/containers/alice", None)
            .await;
        assert_eq!(alice.json()["container"]["state"], "creating", "{alice:?}");
        let refused = daemon.ask_to_create("bob", &key, json!({})).await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (503, "engine_unavailable"),
            "{refused:?}"
        );
        assert!(refused.header("retry-after").is_some());
        bed.start_engine();
    });
    assert_eq!(made.status, 201, "{made:?}");
    let made: Created = serde_json::from_value(made.json()).unwrap();
    key.login(&made.container).says("true").await;
    assert_eq!(bed.instances().await.len(), 1, "made once");
    daemon.delete("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_an_engine_that_is_killed() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let born = login.says("cat /proc/1/stat | cut -d' ' -f22").await;
    bed.kill_engine();
    assert_eq!(login.says("cat /proc/1/stat | cut -d' ' -f22").await, born);
    bed.start_engine();
    let get = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(get.json()["container"]["state"], "running", "{get:?}");
    assert_eq!(login.says("cat /proc/1/stat | cut -d' ' -f22").await, born);
    daemon.delete("alice").await;
}

/// liblxc forks, and its child stops itself for a moment. It holds the socket of an incusd that was killed
/// then, and the next one would wait there for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_a_killed_engine_left_stopped_keeps_no_other_from_starting() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let logs = format!("{}.run/incusd.log", bed.incus_dir.display());
    // Called as incusd is, and stopped.
    let mut child = std::process::Command::new("bash")
        .args(["-c", "kill -STOP $$", "incusd"])
        .arg(format!("--logfile={logs}"))
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    wait_for(SOON, "it has stopped", async || {
        let now = std::fs::read_to_string(&status).unwrap();
        if now.contains("State:\tT") {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
    bed.kill_engine();
    bed.start_engine();
    let ended = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(9)
    );
    wait_for(SOON, "the daemon has heard of it", async || {
        let ready = daemon.ask("GET", "/ready", None, None).await;
        if ready.status == 200 {
            Ok(())
        } else {
            Err(ready)
        }
    })
    .await;
    daemon.create("alice", &Key::new()).await;
    daemon.delete("alice").await;
}
