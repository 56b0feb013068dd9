//! Standbys on an incusd in memory: how many there are, who gets them, and what is left of them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::{collections::BTreeSet, time::Duration};

use containarium_contract::{
    CreateContainer, Created, Face, ListContainers, ListLeaks, ListOperations, ListUnclaimed,
    ServedFrom, State, StepState,
};
use containarium_core::{Containarium, Error, Principal, Role, Settings, StandbyCount, Store};
use containarium_incus::Instance;
use containarium_incus_sim::{Fault, On};
use containarium_testkit::{Key, Simulated, wait_for};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

/// The service, which keeps this many with Docker.
async fn opened(there: &Simulated, count: u32) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    let image = store.installation().await.unwrap().default_image;
    let settings = Settings {
        standbys: vec![StandbyCount {
            image,
            docker: true,
            count,
        }],
        ..Settings::default()
    };
    let core = Containarium::open(store, &there.incus, settings).await;
    core.unwrap()
}

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

async fn create(core: &Containarium, name: &str, docker: bool) -> Result<Created, Error> {
    let ask = json!({"username": name, "enableDocker": docker, "labels": {"a": "b"},
        "sshKeys": [Key::new().public()], "resources": {"cpu": "1", "memory": "2GB", "disk": "9GB"}});
    let ask: CreateContainer = serde_json::from_value(ask).unwrap();
    core.create(&admin(), ask).await
}

/// Waits until so many wait, and no other; their instances.
async fn waiting(core: &Containarium, there: &Simulated, count: usize) -> BTreeSet<String> {
    wait_for(SOON, "standbys wait", async || {
        let info = core.system_info().await.unwrap().info.standby;
        let all = standbys(there).await;
        let frozen = all.iter().all(|one| one.status == "Frozen");
        if info[0].ready as usize == count && all.len() == count && frozen {
            Ok(())
        } else {
            Err((info, all))
        }
    })
    .await;
    let all = standbys(there).await.into_iter();
    all.map(|one| one.name).collect()
}

async fn standbys(there: &Simulated) -> Vec<Instance> {
    let mut all = there.incus.instances().await.unwrap();
    all.retain(|one| one.config["user.containarium.phase"] == "standby");
    all
}

/// The instance of a container.
async fn instance_of(there: &Simulated, name: &str) -> Instance {
    let all = there.incus.instances().await.unwrap();
    let named = |one: &Instance| {
        one.config
            .get("user.containarium.username")
            .map(String::as_str)
            == Some(name)
    };
    all.into_iter().find(named).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_takes_one_and_another_is_made() {
    let there = Simulated::on(161).await;
    let core = opened(&there, 2).await;
    let first = waiting(&core, &there, 2).await;

    let alice = create(&core, "alice", true).await.unwrap();
    assert_eq!(alice.served_from, ServedFrom::Standby, "{alice:?}");
    assert!(alice.message.contains("from standby"), "{}", alice.message);
    let hers = instance_of(&there, "alice").await;
    assert!(
        first.contains(&hers.name),
        "{} is none of {first:?}",
        hers.name
    );
    assert_eq!(hers.status, "Running");
    let address = alice.container.network.ip_address;
    assert_eq!(hers.devices["eth0"]["ipv4.address"], address.to_string());

    let second = waiting(&core, &there, 2).await;
    assert!(!second.contains(&hers.name));
    assert_eq!(first.intersection(&second).count(), 1);

    // Of another kind there is none.
    let bob = create(&core, "bob", false).await.unwrap();
    assert_eq!(bob.served_from, ServedFrom::Cold, "{bob:?}");
    assert!(!bob.message.contains("standby"), "{}", bob.message);

    // Nobody sees them but who asks for them.
    let list = core
        .list(&admin(), ListContainers::default())
        .await
        .unwrap();
    assert_eq!(list.total_count, 2);
    let unclaimed = core.unclaimed(&admin(), ListUnclaimed {}).await.unwrap();
    assert!(unclaimed.unclaimed.is_empty(), "{unclaimed:?}");
    let leaks = core.leaks(&admin(), ListLeaks {}).await.unwrap();
    assert!(leaks.leaks.is_empty(), "{leaks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_configured_as_one_that_was_made_for_its_user() {
    let there = Simulated::on(162).await;
    let core = opened(&there, 1).await;
    waiting(&core, &there, 1).await;
    let waits = standbys(&there).await.remove(0);
    let (autostart, size) = (
        waits.config.get("boot.autostart").map(String::as_str),
        waits.devices["root"]["size"].as_str(),
    );
    // A start of the host boots none, and whoever gets it needs no less.
    assert_eq!((autostart, size), (Some("false"), "2000000000"));
    let served = create(&core, "alice", true).await.unwrap();
    assert_eq!(served.served_from, ServedFrom::Standby);
    core.close(SOON).await;
    drop(core);
    let core = opened(&there, 0).await;
    let cold = create(&core, "bob", true).await.unwrap();
    assert_eq!(cold.served_from, ServedFrom::Cold);
    let plain = async |name: &str| {
        wait_for(SOON, "it is tagged", async || {
            let one = instance_of(&there, name).await;
            let phase = one.config["user.containarium.phase"].clone();
            if phase == "ready" { Ok(()) } else { Err(phase) }
        })
        .await;
        let mut one = instance_of(&there, name).await;
        let text = |value: String| value.replace(name, "NAME");
        one.config.retain(|key, _| {
            let own = ["id", "created", "address", "ssh_keys"];
            let own = own.map(|key| format!("user.containarium.{key}"));
            !own.contains(key) && key != "security.idmap.base" && !key.starts_with("volatile.")
        });
        one.devices
            .get_mut("eth0")
            .unwrap()
            .retain(|key, _| key != "hwaddr" && key != "ipv4.address");
        one.config = one
            .config
            .into_iter()
            .map(|(key, value)| (key, text(value)))
            .collect();
        (one.config, one.devices, text(one.description))
    };
    assert_eq!(plain("alice").await, plain("bob").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_each_gets_its_own() {
    let there = Simulated::on(163).await;
    let core = opened(&there, 2).await;
    waiting(&core, &there, 2).await;
    let names = ["a", "b", "c", "d", "e"];
    let made = names.map(|name| {
        let core = core.clone();
        tokio::spawn(async move { create(&core, name, true).await.unwrap() })
    });
    let (mut standby, mut addresses) = (0, BTreeSet::new());
    let none = "No standby was ready.";
    for one in made {
        let one = one.await.unwrap();
        let served = one.served_from == ServedFrom::Standby;
        standby += usize::from(served);
        assert_eq!(one.message.contains(none), !served, "{}", one.message);
        addresses.insert(one.container.network.ip_address);
    }
    assert_eq!((standby, addresses.len()), (2, 5));
    waiting(&core, &there, 2).await;
    let uids: BTreeSet<String> = there
        .incus
        .instances()
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.config["security.idmap.base"].clone())
        .collect();
    assert_eq!(uids.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_used_is_removed_and_the_container_made_anew() {
    let there = Simulated::on(164).await;
    let core = opened(&there, 1).await;
    for (n, on) in [On::Exec, On::Patch, On::ChangeState]
        .into_iter()
        .enumerate()
    {
        let old = waiting(&core, &there, 1).await;
        let text = "the device is on fire".to_owned();
        there.sim.fail_next(
            on,
            match on {
                On::Patch => Fault::Refuse { code: 500, text },
                _ => Fault::FailLate { code: 500, text },
            },
        );
        let name = format!("alice{n}");
        let made = create(&core, &name, true).await.unwrap();
        assert_eq!(made.served_from, ServedFrom::Cold, "{on:?}: {made:?}");
        let said = "Its standby could not be used.";
        assert!(made.message.contains(said), "{}", made.message);
        let ask = ListOperations {
            target: Some(name.parse().unwrap()),
            ..ListOperations::default()
        };
        let ops = core
            .list_operations(&admin(), Face::Rest, ask)
            .await
            .unwrap();
        let steps: Vec<_> = ops.operations[0]
            .steps
            .iter()
            .map(|s| (s.name.as_str(), s.state))
            .collect();
        use StepState::{Failed, Succeeded};
        let wanted = [
            ("reserve", Succeeded),
            ("claim", Failed),
            ("make", Succeeded),
            ("boot", Succeeded),
            ("commit", Succeeded),
        ];
        assert_eq!(steps, wanted, "{on:?}");
        assert_eq!(made.container.state, Some(State::Running));
        let now = instance_of(&there, &name).await;
        assert_eq!(now.status, "Running");
        assert!(
            !waiting(&core, &there, 1).await.is_subset(&old),
            "{on:?}: it waits again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_an_image_that_was_made_anew_are_replaced() {
    let there = Simulated::on(167).await;
    let core = opened(&there, 1).await;
    let before = waiting(&core, &there, 1).await;
    // As an `init` beside the daemon does it.
    let anew = there
        .sim
        .add_image("containarium/docker/local/debian/12", &[]);
    // Whoever keeps them looks after each operation.
    create(&core, "bob", false).await.unwrap();
    wait_for(SOON, "another waits", async || {
        let now = waiting(&core, &there, 1).await;
        if now.is_disjoint(&before) {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
    let alice = create(&core, "alice", true).await.unwrap();
    assert_eq!(alice.served_from, ServedFrom::Standby, "{alice:?}");
    let hers = instance_of(&there, "alice").await;
    assert_eq!(hers.config["volatile.base_image"], anew);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_made_is_removed_before_another_is() {
    let there = Simulated::on(166).await;
    let refused = |text: &str| Fault::Refuse {
        code: 500,
        text: text.to_owned(),
    };
    // It cannot be asked whether it is up, and does not go at once.
    there.sim.fail_next(On::Exec, refused("no init"));
    there.sim.fail_next(On::Delete, refused("it is busy"));
    let core = opened(&there, 1).await;
    wait_for(SOON, "one was begun", async || {
        let all = standbys(&there).await;
        if all.is_empty() { Err(()) } else { Ok(()) }
    })
    .await;
    create(&core, "alice", false).await.unwrap();
    waiting(&core, &there, 1).await;
    let all = there.incus.instances().await.unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_daemon_takes_over_those_that_wait_and_removes_the_others() {
    let there = Simulated::on(165).await;
    let core = opened(&there, 2).await;
    let before = waiting(&core, &there, 2).await;
    core.close(SOON).await;
    drop(core);
    // As after a daemon that was killed before it froze one.
    let thawed = before.first().unwrap();
    let thaw = containarium_incus::StateChange::unfreeze();
    let begun = there.incus.change_state(thawed, &thaw).await.unwrap();
    there.incus.wait(&begun, SOON).await.unwrap();

    let core = opened(&there, 2).await;
    wait_for(SOON, "the one that runs is gone", async || {
        let all = standbys(&there).await;
        if all.iter().any(|one| one.name == *thawed) {
            Err(all)
        } else {
            Ok(())
        }
    })
    .await;
    let after = waiting(&core, &there, 2).await;
    assert_eq!(before.intersection(&after).count(), 1);
    core.close(SOON).await;
    drop(core);

    // Where none are wanted any more, none stay.
    let core = opened(&there, 0).await;
    waiting(&core, &there, 0).await;
    let alice = create(&core, "alice", true).await.unwrap();
    assert_eq!(alice.served_from, ServedFrom::Cold);
}
