//! How long deleted containers are kept, on an incusd in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{
    CreateContainer, DeleteContainer, Deleted, ListContainers, State, UndeleteContainer,
};
use containarium_core::{Containarium, Error, Principal, Role, Settings, Store};
use containarium_testkit::{Simulated, wait_for};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

async fn opened(there: &Simulated, retention: Duration) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    let settings = Settings {
        retention,
        ..Settings::default()
    };
    Containarium::open(store, &there.incus, settings)
        .await
        .unwrap()
}

/// A daemon that goes, and the next one, whose first pass comes at once.
async fn reopened(core: Containarium, there: &Simulated, retention: Duration) -> Containarium {
    core.close(SOON).await;
    drop(core);
    opened(there, retention).await
}

async fn create(core: &Containarium, name: &str) {
    let ask: CreateContainer = serde_json::from_value(json!({ "username": name })).unwrap();
    core.create(&admin(), ask).await.unwrap();
}

async fn delete(core: &Containarium, name: &str) -> Deleted {
    let ask = DeleteContainer {
        username: name.parse().unwrap(),
        force: true,
        purge: false,
    };
    core.delete(&admin(), ask).await.unwrap()
}

async fn undelete(core: &Containarium, name: &str) -> Result<(), Error> {
    let ask = UndeleteContainer {
        username: name.parse().unwrap(),
    };
    core.undelete(&admin(), ask).await.map(drop)
}

/// The names in this state, and how many instances there are.
async fn there(
    core: &Containarium,
    there: &Simulated,
    state: Option<State>,
) -> (Vec<String>, usize) {
    let ask = ListContainers {
        state,
        ..ListContainers::default()
    };
    let list = core.list(&admin(), ask).await.unwrap().containers;
    let names = list.iter().map(|c| c.username.to_string()).collect();
    (names, there.incus.instances().await.unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_retention_a_delete_is_for_good() {
    let sim = Simulated::on(161).await;
    let core = opened(&sim, Duration::ZERO).await;
    create(&core, "alice").await;
    let deleted = delete(&core, "alice").await;
    assert_eq!(deleted.deleted_until, None);
    assert_eq!(there(&core, &sim, None).await, (vec![], 0));
    let none = undelete(&core, "alice").await.unwrap_err();
    assert!(matches!(none, Error::NothingDeleted(_)), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_for_its_time_goes_in_the_next_pass() {
    let sim = Simulated::on(162).await;
    let core = opened(&sim, Duration::from_secs(1)).await;
    create(&core, "alice").await;
    create(&core, "bob").await;
    let deleted = delete(&core, "alice").await;
    let until = humantime::parse_rfc3339(&deleted.deleted_until.unwrap()).unwrap();
    wait_for(SOON, "its time is over", async || {
        let left = until.duration_since(std::time::SystemTime::now());
        left.map_or(Ok(()), Err)
    })
    .await;
    let core = reopened(core, &sim, Duration::from_secs(1)).await;
    wait_for(SOON, "it is gone", async || {
        let now = there(&core, &sim, Some(State::Deleted)).await;
        if now == (vec![], 1) { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(there(&core, &sim, None).await.0, ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_space_is_needed_the_one_deleted_first_goes_first_and_none_that_lives() {
    let sim = Simulated::on(163).await;
    let day = Duration::from_secs(24 * 3600);
    let core = opened(&sim, day).await;
    for name in ["alice", "bob", "carol"] {
        create(&core, name).await;
    }
    delete(&core, "bob").await;
    // By its kept second it must differ.
    let first = std::time::SystemTime::now() + Duration::from_secs(1);
    wait_for(SOON, "the next second", async || {
        let left = first.duration_since(std::time::SystemTime::now());
        left.map_or(Ok(()), Err)
    })
    .await;
    delete(&core, "alice").await;
    let space = sim
        .incus
        .storage_pool_resources(&sim_pool(&sim).await)
        .await
        .unwrap();
    sim.sim.use_space(space.total / 100 * 86);
    let core = reopened(core, &sim, day).await;
    wait_for(SOON, "the first is gone", async || {
        let now = there(&core, &sim, Some(State::Deleted)).await;
        if now == (vec!["alice".to_owned()], 2) {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
    sim.sim.use_space(0);
    let core = reopened(core, &sim, day).await;
    undelete(&core, "alice").await.unwrap();
    assert_eq!(there(&core, &sim, None).await.0, ["alice", "carol"]);
}

async fn sim_pool(sim: &Simulated) -> String {
    let instance = sim.incus.instances().await.unwrap().remove(0);
    instance.devices["root"]["pool"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_name_that_two_had_each_sees_ones_own() {
    let sim = Simulated::on(166).await;
    let core = opened(&sim, Duration::from_secs(3600)).await;
    let user = |name: &str| Principal {
        subject: name.parse().unwrap(),
        roles: vec![Role::User],
        restrictions: Vec::new(),
    };
    for name in ["bob", "carol"] {
        let ask: CreateContainer = serde_json::from_value(json!({"username": "dev"})).unwrap();
        core.create(&user(name), ask).await.unwrap();
        delete(&core, "dev").await;
    }
    for name in ["bob", "carol"] {
        let ask = ListContainers {
            state: Some(State::Deleted),
            ..ListContainers::default()
        };
        let list = core.list(&user(name), ask).await.unwrap().containers;
        let owners: Vec<_> = list.iter().map(|one| one.owner.as_str()).collect();
        assert_eq!(owners, [name]);
    }
}
