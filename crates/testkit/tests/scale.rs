//! Thousands of containers: what lists, looks, adoption, memory and an idle daemon cost. The engine is
//! an incusd in memory in this process; the daemon is the program, in one of its own. On a real incusd
//! the same is measured by `live/scale.rs`.
//!
//! `CONTAINARIUM_TEST_MANY` says how many (1,000 unless set), `CONTAINARIUM_TEST_IDLE` for how many
//! seconds the idle daemon is watched (none unless set). `make scale` runs it optimised with 10,000,
//! and prints the table; then the bounds are those that are promised.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{GetContainer, ListContainers};
use containarium_core::{Containarium, Principal, Role, Settings, Store};
use containarium_testkit::{
    Simulated, make_empties,
    scale::{Place, measured, number, timed},
};

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_containers_cost_little() {
    let many = number("CONTAINARIUM_TEST_MANY", 1000);
    let there = Simulated::on(201).await;
    let store = Store::open(there.state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.uid_ranges = many + 1000;
    store.set_installation(&installation).await.unwrap();
    drop(store);
    make_empties(&there.incus, &installation, many).await;
    let place = Place {
        state: there.state.path(),
        socket: there.sim.socket(),
        many,
    };
    let mut table = measured(&place).await;

    // The same without HTTP.
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    let took = timed(60, async || {
        let list = core
            .list(&admin(), ListContainers::default())
            .await
            .unwrap();
        assert_eq!(list.containers.len(), many as usize);
    })
    .await;
    table.time(
        "list of all in the core, p99",
        took,
        Duration::from_micros(10) * many.max(100),
    );
    let username: containarium_contract::Username = "e7".parse().unwrap();
    let took = timed(1000, async || {
        let username = username.clone();
        core.get(&admin(), GetContainer { username }).await.unwrap();
    })
    .await;
    table.time("get in the core, p99", took, Duration::from_millis(1));
    core.close(Duration::from_secs(1)).await;
    table.must_fit();
}
