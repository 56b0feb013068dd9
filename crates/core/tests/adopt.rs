//! A store that is lost: the engine has all containers, and their tags say what they were. On an
//! incusd in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{
    AdoptContainers, Adopted, ContainerList, CreateContainer, DeleteContainer, ListContainers,
    ListLeaks, ListUnclaimed, PurgeUnclaimed, State, StopContainer, UndeleteContainer,
};
use containarium_core::{Containarium, Error, Principal, Role, Settings, Store};
use containarium_testkit::{Key, Simulated, empty, wait_for};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap()
}

/// Ends the service, and with it its store; a new one knows the installation, and no container.
async fn loses_its_store(core: Containarium, there: &Simulated) -> Containarium {
    core.close(SOON).await;
    drop(core);
    let installation = Store::open(there.state.path())
        .unwrap()
        .installation()
        .await
        .unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _none =
            std::fs::remove_file(there.state.path().join(format!("containarium.db{suffix}")));
    }
    let store = Store::make(there.state.path()).unwrap();
    store.set_installation(&installation).await.unwrap();
    drop(store);
    opened(there).await
}

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

async fn create(core: &Containarium, ask: Value) {
    let ask: CreateContainer = serde_json::from_value(ask).unwrap();
    core.create(&admin(), ask).await.unwrap();
}

async fn delete(core: &Containarium, name: &str) {
    let ask = DeleteContainer {
        username: name.parse().unwrap(),
        force: true,
        purge: false,
        id: None,
        only_kept: false,
    };
    core.delete(&admin(), ask).await.unwrap();
}

/// All there is, the deleted ones too, without what a store alone knows: when it last wrote, and how
/// a container stopped before.
async fn all(core: &Containarium) -> Vec<Value> {
    let mut all = Vec::new();
    for state in [None, Some(State::Deleted)] {
        let ask = ListContainers {
            state,
            ..ListContainers::default()
        };
        let list: ContainerList = core.list(&admin(), ask).await.unwrap();
        for one in list.containers {
            let mut view = serde_json::to_value(one).unwrap();
            for history in ["updatedAt", "lastExit"] {
                view.as_object_mut().unwrap().remove(history);
            }
            all.push(view);
        }
    }
    all
}

async fn adopt_all(core: &Containarium) -> Adopted {
    let ask = AdoptContainers {
        all: true,
        ..AdoptContainers::default()
    };
    core.adopt(&admin(), ask).await.unwrap()
}

/// Waits until every instance says that it was there for its users.
async fn marked(there: &Simulated) {
    wait_for(SOON, "all are marked", async || {
        let all = there.incus.instances().await.unwrap();
        let tag = "user.containarium.phase";
        let ready = all.iter().filter(|one| one.config[tag] == "ready");
        if ready.count() == all.len() {
            Ok(())
        } else {
            Err(all)
        }
    })
    .await;
}

async fn leaks(core: &Containarium) -> Vec<String> {
    let found = core.leaks(&admin(), ListLeaks {}).await.unwrap().leaks;
    found.into_iter().map(|leak| leak.detail).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_lost_is_the_same_once_all_are_adopted() {
    let there = Simulated::on(151).await;
    let core = opened(&there).await;
    let key = Key::new();
    create(
        &core,
        json!({
            "username": "alice", "owner": "team", "sshKeys": [key.public()], "enableDocker": false,
            "resources": {"cpu": "1", "memory": "4096MB", "disk": "20GiB"},
            "labels": {"purpose": "web", "team": "a b"},
        }),
    )
    .await;
    create(
        &core,
        json!({"username": "bob", "resources": {"memory": "1073741824"}}),
    )
    .await;
    create(
        &core,
        json!({"username": "carol", "image": "local:debian/13"}),
    )
    .await;
    create(&core, json!({"username": "dave"})).await;
    let stop = |name: &str| -> StopContainer {
        serde_json::from_value(json!({"username": name})).unwrap()
    };
    core.stop(&admin(), stop("bob")).await.unwrap();
    core.stop(&admin(), stop("dave")).await.unwrap();
    delete(&core, "carol").await;
    delete(&core, "dave").await;
    marked(&there).await;
    let before = all(&core).await;
    assert_eq!(before.len(), 4);

    let core = loses_its_store(core, &there).await;
    assert_eq!(all(&core).await, [] as [Value; 0]);
    let unclaimed = core.unclaimed(&admin(), ListUnclaimed {}).await.unwrap();
    assert_eq!(unclaimed.unclaimed.len(), 4);
    assert!(unclaimed.unclaimed.iter().all(|one| one.obstacle.is_none()));
    assert_eq!(leaks(&core).await.len(), 4);

    let adopted = adopt_all(&core).await;
    assert_eq!(adopted.message, "4 adopted.", "{adopted:?}");
    let names: Vec<_> = adopted.adopted.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol", "dave"]);
    // That alice runs is known once her sshd has spoken.
    wait_for(SOON, "all is as it was", async || {
        let now = all(&core).await;
        if now == before { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(leaks(&core).await, [] as [&str; 0]);
    assert_eq!(adopt_all(&core).await.message, "There is nothing to adopt.");

    // Those that were deleted can be brought back, as they were.
    for (name, state) in [("carol", State::Running), ("dave", State::Stopped)] {
        let username = name.parse().unwrap();
        let back = core
            .undelete(&admin(), UndeleteContainer { username, id: None })
            .await;
        assert_eq!(back.unwrap().container.state, Some(state), "{name}");
    }
    // And new ones get what nobody has.
    create(&core, json!({"username": "erin"})).await;
    let instances = there.incus.instances().await.unwrap();
    let mut addresses: Vec<_> = instances
        .iter()
        .map(|one| &one.devices["eth0"]["ipv4.address"])
        .collect();
    let mut uids: Vec<_> = instances
        .iter()
        .map(|one| &one.config["security.idmap.base"])
        .collect();
    for held in [&mut addresses, &mut uids] {
        held.sort();
        held.dedup();
        assert_eq!(held.len(), 5, "{held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_holds_is_not_adopted_and_says_by_whom() {
    let there = Simulated::on(152).await;
    let core = opened(&there).await;
    create(&core, json!({"username": "alice"})).await;
    marked(&there).await;
    let core = loses_its_store(core, &there).await;
    create(&core, json!({"username": "alice"})).await;
    create(&core, json!({"username": "bob"})).await;
    marked(&there).await;
    let installation = Store::open(there.state.path())
        .unwrap()
        .installation()
        .await
        .unwrap();
    let bobs = there.incus.instances().await.unwrap();
    let bobs = bobs
        .iter()
        .find(|one| one.config["user.containarium.username"] == "bob")
        .unwrap();
    // One with bob's user ids, one whose tags cannot be read, and one of another installation.
    let mut same_uids = empty(&installation, 300);
    same_uids.config.insert(
        "security.idmap.base".into(),
        bobs.config["security.idmap.base"].clone(),
    );
    let mut torn = empty(&installation, 301);
    torn.config
        .insert("user.containarium.owner".into(), "no owner!".into());
    let mut foreign = empty(&installation, 302);
    foreign
        .config
        .insert("user.containarium.install".into(), "another".into());
    for post in [&same_uids, &torn, &foreign] {
        let operation = there.incus.create_instance(post).await.unwrap();
        there.incus.wait(&operation, SOON).await.unwrap();
    }
    let adopted = adopt_all(&core).await;
    assert!(adopted.adopted.is_empty(), "{adopted:?}");
    let obstacles: Vec<_> = adopted
        .refused
        .iter()
        .filter_map(|one| one.obstacle.clone())
        .collect();
    assert_eq!(obstacles.len(), 3, "{obstacles:?}");
    let says = |text: &str| {
        assert!(
            obstacles.iter().any(|one| one.contains(text)),
            "{text}: {obstacles:?}"
        )
    };
    says("the name alice is held by alice-container");
    says("its range of user ids");
    says("its tag `user.containarium.owner` is `no owner!`");
    // Named or not, what is not unclaimed is not taken.
    for name in [foreign.name.as_str(), bobs.name.as_str()] {
        let ask: AdoptContainers = serde_json::from_value(json!({"instances": [name]})).unwrap();
        let refused = core.adopt(&admin(), ask).await.unwrap_err();
        assert!(matches!(refused, Error::NotUnclaimed(_)), "{refused}");
        let ask: PurgeUnclaimed = serde_json::from_value(json!({"instance": name})).unwrap();
        let refused = core.purge_unclaimed(&admin(), ask).await.unwrap_err();
        assert!(matches!(refused, Error::NotUnclaimed(_)), "{refused}");
    }
    for refused in &adopted.refused {
        let ask = json!({"instance": refused.instance});
        let ask: PurgeUnclaimed = serde_json::from_value(ask).unwrap();
        core.purge_unclaimed(&admin(), ask).await.unwrap();
    }
    assert_eq!(leaks(&core).await, [] as [&str; 0]);
    assert_eq!(there.incus.instances().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_need_the_same_one_is_adopted() {
    let there = Simulated::on(153).await;
    let core = opened(&there).await;
    let installation = Store::open(there.state.path())
        .unwrap()
        .installation()
        .await
        .unwrap();
    let (one, mut other) = (empty(&installation, 0), empty(&installation, 1));
    other
        .config
        .insert("user.containarium.username".into(), "e0".into());
    for post in [&one, &other] {
        let operation = there.incus.create_instance(post).await.unwrap();
        there.incus.wait(&operation, SOON).await.unwrap();
    }
    let adopted = adopt_all(&core).await;
    assert_eq!(adopted.message, "1 adopted, 1 not: each says why.");
    assert_eq!(adopted.adopted[0].as_str(), "e0");
}
