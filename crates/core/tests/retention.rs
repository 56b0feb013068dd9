//! How long deleted containers are kept, on an incusd in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{
    ContainerId, CreateContainer, DeleteContainer, Deleted, GetContainer, ListContainers, Reason,
    State, UndeleteContainer,
};
use containarium_core::{Containarium, Error, Fault, Principal, RETENTION, Role, Settings, Store};
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
        id: None,
        only_kept: false,
    };
    core.delete(&admin(), ask).await.unwrap()
}

async fn undelete(core: &Containarium, name: &str) -> Result<(), Error> {
    let ask = UndeleteContainer {
        username: name.parse().unwrap(),
        id: None,
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

/// What has that name now.
async fn id(core: &Containarium, name: &str) -> ContainerId {
    let username = name.parse().unwrap();
    let found = core.get(&admin(), GetContainer { username }).await.unwrap();
    assert_eq!(found.container.state, Some(State::Running));
    found.container.id.unwrap()
}

/// Brings that one back.
async fn undelete_one(core: &Containarium, name: &str, id: &ContainerId) -> Result<(), Error> {
    let ask = UndeleteContainer {
        username: name.parse().unwrap(),
        id: Some(id.clone()),
    };
    core.undelete(&admin(), ask).await.map(drop)
}

/// The kept ones in the order of their list, read in pages of so many.
async fn kept(core: &Containarium, limit: Option<u32>) -> Vec<(String, ContainerId)> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let ask = ListContainers {
            state: Some(State::Deleted),
            limit: limit.and_then(|limit| limit.try_into().ok()),
            cursor,
            ..ListContainers::default()
        };
        let page = core.list(&admin(), ask).await.unwrap();
        let here = page.containers.into_iter();
        all.extend(here.map(|one| (one.username.to_string(), one.id.unwrap())));
        // As it travels.
        cursor = page.next_cursor.map(|at| at.to_string().parse().unwrap());
        if cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kept_one_of_a_name_is_listed_once_and_comes_back_by_its_id() {
    let sim = Simulated::on(170).await;
    let core = opened(&sim, Duration::from_secs(3600)).await;
    let mut ids = Vec::new();
    for name in ["alice", "alice", "alice-2", "alice", "al"] {
        create(&core, name).await;
        ids.push(id(&core, name).await);
        delete(&core, name).await;
    }
    let mut of_alice = [ids[0].clone(), ids[1].clone(), ids[3].clone()];
    of_alice.sort();
    let [a, b, c] = of_alice;
    let alice = "alice".to_owned();
    let wanted = [
        ("al".to_owned(), ids[4].clone()),
        (alice.clone(), a),
        (alice.clone(), b),
        (alice, c),
        ("alice-2".to_owned(), ids[2].clone()),
    ];
    for limit in [None, Some(1), Some(2), Some(3), Some(5)] {
        assert_eq!(kept(&core, limit).await, wanted, "{limit:?}");
    }
    // The oldest, where another has the name, where it is free, and where it is back already.
    create(&core, "alice").await;
    let newest = id(&core, "alice").await;
    let taken = undelete_one(&core, "alice", &ids[0]).await.unwrap_err();
    assert!(matches!(taken, Error::NameTakenAgain { .. }), "{taken}");
    delete(&core, "alice").await;
    undelete_one(&core, "alice", &ids[0]).await.unwrap();
    assert_eq!(id(&core, "alice").await, ids[0]);
    delete(&core, "alice").await;
    undelete_one(&core, "alice", &newest).await.unwrap();
    assert_eq!(id(&core, "alice").await, newest);
    // One that lives, another's, and one that never was are not kept.
    let never = "01jd3zq8m4k6t1w9v5r2x7y0bc".parse().unwrap();
    delete(&core, "alice").await;
    create(&core, "alice").await;
    let lives = id(&core, "alice").await;
    for other in [&lives, &ids[2], &never] {
        let none = undelete_one(&core, "alice", other).await.unwrap_err();
        assert!(matches!(none, Error::NotKept { .. }), "{none}");
        assert_eq!(Fault::from(&none).reason, Reason::NotFound);
    }
    assert_eq!(there(&core, &sim, None).await, (vec!["alice".into()], 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_id_the_one_that_was_deleted_last_comes_back() {
    let sim = Simulated::on(171).await;
    let core = opened(&sim, Duration::from_secs(3600)).await;
    create(&core, "alice").await;
    let first = id(&core, "alice").await;
    delete(&core, "alice").await;
    create(&core, "alice").await;
    let second = id(&core, "alice").await;
    delete(&core, "alice").await;
    undelete(&core, "alice").await.unwrap();
    assert_eq!(id(&core, "alice").await, second);
    let ask = DeleteContainer {
        username: "alice".parse().unwrap(),
        force: true,
        purge: true,
        id: Some(second),
        only_kept: false,
    };
    core.delete(&admin(), ask).await.unwrap();
    undelete(&core, "alice").await.unwrap();
    assert_eq!(id(&core, "alice").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_means_another_touches_nothing() {
    let sim = Simulated::on(172).await;
    let core = opened(&sim, Duration::from_secs(3600)).await;
    create(&core, "alice").await;
    let first = id(&core, "alice").await;
    delete(&core, "alice").await;
    create(&core, "alice").await;
    let second = id(&core, "alice").await;
    assert_ne!(first, second);
    let ask = |id: &ContainerId| DeleteContainer {
        username: "alice".parse().unwrap(),
        force: true,
        purge: true,
        id: Some(id.clone()),
        only_kept: false,
    };
    let replaced = core.delete(&admin(), ask(&first)).await.unwrap_err();
    assert!(matches!(replaced, Error::Replaced(_)), "{replaced}");
    assert_eq!(Fault::from(&replaced).reason, Reason::Replaced);
    assert_eq!(id(&core, "alice").await, second);
    core.delete(&admin(), ask(&second)).await.unwrap();
    let gone = core.delete(&admin(), ask(&second)).await.unwrap_err();
    assert!(matches!(gone, Error::NoContainer(_)), "{gone}");
    assert_eq!(kept(&core, None).await, [("alice".to_owned(), first)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_may_only_keep_is_refused_where_nothing_is_kept() {
    let sim = Simulated::on(173).await;
    let core = opened(&sim, Duration::ZERO).await;
    create(&core, "alice").await;
    let before = id(&core, "alice").await;
    let ask = |purge| DeleteContainer {
        username: "alice".parse().unwrap(),
        force: true,
        purge,
        id: None,
        only_kept: true,
    };
    let refused = core.delete(&admin(), ask(false)).await.unwrap_err();
    assert!(matches!(refused, Error::Irreversible(_)), "{refused}");
    assert_eq!(Fault::from(&refused).reason, Reason::Irreversible);
    let both = core.delete(&admin(), ask(true)).await.unwrap_err();
    assert!(matches!(both, Error::PurgeKept), "{both}");
    assert_eq!(id(&core, "alice").await, before);
    let core = reopened(core, &sim, Duration::from_secs(3600)).await;
    let deleted = core.delete(&admin(), ask(false)).await.unwrap();
    assert!(deleted.deleted_until.is_some());
    assert_eq!(kept(&core, None).await, [("alice".to_owned(), before)]);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_finds_no_user_ids_left_has_the_oldest_kept_one_go() {
    let there = Simulated::on(137).await;
    let store = Store::open(there.state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.uid_ranges = 2;
    store.set_installation(&installation).await.unwrap();
    drop(store);
    let core = opened(&there, RETENTION).await;
    create(&core, "alice").await;
    delete(&core, "alice").await;
    create(&core, "bob").await;
    // Long before the next pass that comes by itself.
    wait_for(SOON, "carol has what alice had", async || {
        let ask = json!({"username": "carol"});
        let ask: CreateContainer = serde_json::from_value(ask).unwrap();
        match core.create(&admin(), ask).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let fault = Fault::from(&error);
                assert_eq!(fault.reason, Reason::InsufficientStorage, "{fault:?}");
                Err(fault)
            }
        }
    })
    .await;
    core.close(SOON).await;
}
