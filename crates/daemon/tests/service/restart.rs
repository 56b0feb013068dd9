//! The daemon goes and comes back. That containers run on meanwhile is in the live suite.

use std::time::Duration;

use containarium_testkit::{Simulated, TestDaemon, wait_for};
use serde_json::json;

use crate::installed::Installed;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_known_to_the_next_daemon() {
    let here = Installed::new(232).await.with_alice().await;
    let Installed { daemon, there } = here;
    let daemon = daemon.restarted().await;
    let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
    assert_eq!(list.json()["containers"][0]["state"], "running", "{list:?}");
    let ask = |username| Some(json!({"username": username}));
    let taken = daemon
        .ask_as_admin("POST", "/v1/containers", ask("alice"))
        .await;
    assert_eq!(taken.status, 409, "{taken:?}");
    // The next one gets an address and user ids that are still free.
    let next = daemon
        .ask_as_admin("POST", "/v1/containers", ask("bob"))
        .await;
    assert_eq!(next.status, 201, "{next:?}");
    assert_eq!(there.incus.instances().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_lets_a_create_end() {
    let there = Simulated::on(233).await;
    there.sim.set_latency(Duration::from_millis(300));
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let (url, token) = (daemon.url.clone(), daemon.admin_token());
    let ask = Some(json!({"username": "alice"}).to_string());
    // By a caller of its own, because the daemon is consumed by its restart.
    let asked = tokio::spawn(async move {
        TestDaemon::ask_at(&url, "POST", "/v1/containers", Some(&token), ask.as_deref()).await
    });
    wait_for(SOON, "the create has begun", async || {
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        match list.json()["containers"][0]["state"].as_str() {
            Some("creating") => Ok(()),
            Some(_) | None => Err(list),
        }
    })
    .await;
    let daemon = daemon.restarted().await;
    let made = asked.await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let got = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(got.json()["container"]["state"], "running", "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_while_the_engine_hangs_is_left_to_the_next_daemon() {
    let here = Installed::new(182).await.with_alice().await;
    here.there.sim.mute_guests(true);
    let create = here.create("bob").await;
    here.reaches(&create, "boot").await;
    here.there.sim.hang(true);
    let stop = here.begin("POST", "/v1/containers/alice/stop", None).await;
    wait_for(SOON, "the stop is under way", async || {
        let now = here.operation(&stop).await;
        if now["state"] == "running" {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
    let Installed { daemon, there } = here;
    let sim = &there.sim;
    let daemon = daemon.restarted_after(async || sim.hang(false)).await;
    let here = Installed { daemon, there };
    let ended = here.ended(&stop).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    // Nothing in it will ever speak, and it is still waited for.
    here.reaches(&create, "boot").await;
    let now = here.operation(&create).await;
    assert_eq!(
        (&now["state"], &now["attempt"]),
        (&json!("running"), &json!(2))
    );
    here.cancel(&create).await;
}
