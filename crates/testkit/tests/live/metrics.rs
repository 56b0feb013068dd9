//! Metrics are measured, and follow what happens inside.

use std::time::Duration;

use containarium_contract::{EngineHealth, GetMetrics, Metrics};
use containarium_testkit::{Key, TestDaemon, wait_for};

use super::{SOON, start};

async fn sample(daemon: &TestDaemon) -> Metrics {
    let ask = GetMetrics {
        username: "alice".parse().unwrap(),
    };
    wait_for(SOON, "it is measured", async || {
        let mut told = daemon.admin().call(&ask).await.unwrap();
        match told.engine {
            EngineHealth::Ok => Ok(told.metrics.remove(0)),
            // It was busy for a moment.
            EngineHealth::Unreachable => Err(told),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_real_and_move() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let before = sample(&daemon).await;
    assert_eq!(before.name, "alice-container");
    assert!(before.cpu_usage_seconds.is_some(), "{before:?}");
    assert!(
        (1 << 20..512 << 20).contains(&before.memory_usage_bytes.unwrap()),
        "{before:?}"
    );

    login.says("head -c 200M /dev/urandom > file && sync").await;
    // Killed when it has had three seconds of a processor, however long that takes.
    login.run("sh -c 'ulimit -t 3; while :; do :; done'").await;
    // What is printed here is sent by the container.
    let sent = login
        .says("head -c 3000000 /dev/zero | tr '\\0' x")
        .await
        .len() as u64;
    let moved = |now: &Metrics| {
        let grew =
            |of: fn(&Metrics) -> Option<u64>, by| of(now).unwrap() >= of(&before).unwrap() + by;
        // It answered while it booted; systemd, its journal, sshd and the like are there soon.
        now.process_count.unwrap() > 5
            && grew(|m| m.cpu_usage_seconds, 2)
            && grew(|m| m.disk_usage_bytes, 190 << 20)
            && grew(|m| m.network_tx_bytes, sent)
            && grew(|m| m.network_rx_bytes, 1)
    };
    wait_for(Duration::from_secs(30), "the metrics follow", async || {
        let now = sample(&daemon).await;
        if moved(&now) {
            Ok(())
        } else {
            Err((before.clone(), now))
        }
    })
    .await;
}
