//! Passes on an incusd in memory, one after the other as a test wants them.

use std::collections::HashMap;

use containarium_contract::{
    AdoptContainers, CreateContainer, DeleteContainer, GetContainer, ListContainers, ListUnclaimed,
    State,
};
use containarium_incus::{InstancePost, Source};
use containarium_incus_sim::{Fault, On};
use containarium_testkit::{Simulated, wait_for};
use serde_json::json;

use super::*;
use crate::{Installation, Principal, Role, Settings, Store};

const SOON: Duration = Duration::from_secs(20);

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap()
}

fn admin_() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

async fn create(core: &Containarium, name: &str) {
    let ask: CreateContainer = serde_json::from_value(json!({"username": name})).unwrap();
    core.create(&admin_(), ask).await.unwrap();
    // From here on it is known even to a store that was lost.
    let instance = core.inner.store.container(&name.parse().unwrap()).unwrap();
    wait_for(SOON, "it is marked as ready", async || {
        let tags = core.inner.inventory.tags(&instance.instance());
        tags.clone().filter(|tags| tags.ready).ok_or(tags)
    })
    .await;
}

async fn delete(core: &Containarium, name: &str, purge: bool) {
    let ask = DeleteContainer {
        username: name.parse().unwrap(),
        force: true,
        purge,
        id: None,
        only_kept: false,
    };
    core.delete(&admin_(), ask).await.unwrap();
}

async fn state(core: &Containarium, name: &str) -> Option<State> {
    let username = name.parse().unwrap();
    let got = core.get(&admin_(), GetContainer { username }).await;
    got.ok()?.container.state
}

async fn names(core: &Containarium) -> Vec<String> {
    let all = core.list(&admin_(), ListContainers::default()).await;
    let all = all.unwrap().containers.into_iter();
    all.map(|one| one.username.to_string()).collect()
}

/// A copy of the store as it is now, as a backup would have it.
async fn backup(core: &Containarium, to: &std::path::Path) {
    let from = core.inner.store.dir().join("containarium.db");
    let _gone = std::fs::remove_file(to);
    let db = rusqlite::Connection::open(from).unwrap();
    db.execute("VACUUM INTO ?1", [to.to_str().unwrap()])
        .unwrap();
}

/// Puts a copy into the place of the store.
fn bring_back(there: &Simulated, copy: &std::path::Path) {
    let db = there.state.path().join("containarium.db");
    for suffix in ["-wal", "-shm"] {
        let _none = std::fs::remove_file(format!("{}{suffix}", db.display()));
    }
    std::fs::copy(copy, db).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_on_a_listing_that_failed_does_nothing() {
    let there = Simulated::on(141).await;
    let core = opened(&there).await;
    create(&core, "alice").await;
    let id = core
        .inner
        .store
        .container(&"alice".parse().unwrap())
        .unwrap();
    // Its row says that it shall go; a pass that sees all would remove it.
    core.inner.closing.cancel();
    core.inner.tasks.close();
    core.inner.tasks.wait().await;
    let (gone, now) = (id.id.clone(), clock::now());
    let marked = core
        .inner
        .store
        .write(move |tx| tx.keep(&gone, now - 1, now));
    marked.await.unwrap();
    core.inner
        .engine
        .mark(&core.inner.store.container_by_id(&id.id).unwrap())
        .await
        .unwrap();
    let text = "Database is locked".to_owned();
    there
        .sim
        .fail_next(On::Read, Fault::Refuse { code: 500, text });
    let mut suspects = HashMap::new();
    core.pass(&mut suspects).await.unwrap_err();
    there.sim.fail_next(On::Read, Fault::CutAnswer);
    core.pass(&mut suspects).await.unwrap_err();
    let kept = core.inner.store.container_by_id(&id.id).unwrap();
    assert_eq!(kept.phase, Phase::Deleted);
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
    // The same store and engine, and a listing that is whole.
    assert!(core.pass(&mut suspects).await.unwrap());
    let purged = core.inner.store.unfinished().await.unwrap();
    assert_eq!(purged.len(), 1, "{purged:?}");
    assert_eq!(purged[0].work, Work::Purge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_an_hour_ago_loses_nothing() {
    let there = Simulated::on(142).await;
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    let core = opened(&there).await;
    for name in ["alice", "bob", "carol"] {
        create(&core, name).await;
    }
    delete(&core, "carol", false).await;
    backup(&core, &copy).await;
    // What the copy does not know: alice is deleted and kept, bob is gone, carol is back, dave new.
    delete(&core, "alice", false).await;
    delete(&core, "bob", true).await;
    let username = "carol".parse().unwrap();
    let back = containarium_contract::UndeleteContainer { username, id: None };
    core.undelete(&admin_(), back).await.unwrap();
    create(&core, "dave").await;
    core.close(SOON).await;
    drop(core);
    bring_back(&there, &copy);
    // Carol's time is over, as the copy has it.
    let db = rusqlite::Connection::open(there.state.path().join("containarium.db")).unwrap();
    db.execute(
        "UPDATE containers SET kept_until = 5 WHERE phase = 'deleted'",
        [],
    )
    .unwrap();
    drop(db);

    let core = opened(&there).await;
    let mut suspects = HashMap::new();
    for _ in 0..10 {
        core.pass(&mut suspects).await.unwrap();
    }
    let unclaimed = core.unclaimed(&admin_(), ListUnclaimed {}).await.unwrap();
    let found: Vec<_> = unclaimed
        .unclaimed
        .iter()
        .map(|one| one.username.clone())
        .collect();
    assert_eq!(found, [Some("dave".parse().unwrap())], "{unclaimed:?}");
    // What was deleted since is back, and what was brought back is not deleted.
    assert_eq!(names(&core).await, ["alice", "bob", "carol"]);
    assert_eq!(state(&core, "alice").await, Some(State::Stopped));
    wait_for(SOON, "carol runs", async || {
        match state(&core, "carol").await {
            Some(State::Running) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // What is gone is said to be, and can be deleted.
    assert_eq!(state(&core, "bob").await, Some(State::Error));
    delete(&core, "bob", true).await;
    let ask = AdoptContainers {
        all: true,
        ..AdoptContainers::default()
    };
    core.adopt(&admin_(), ask).await.unwrap();
    assert_eq!(names(&core).await, ["alice", "carol", "dave"]);
    assert_eq!(there.incus.instances().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_a_backup_has_in_the_middle_is_done_and_not_undone() {
    let there = Simulated::on(143).await;
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    let core = opened(&there).await;
    there.sim.set_latency(Duration::from_millis(400));
    let halfway = async {
        wait_for(SOON, "the create has begun", async || {
            let op = core.inner.store.unfinished().await.unwrap();
            if op.len() == 1 { Ok(()) } else { Err(op) }
        })
        .await;
        backup(&core, &copy).await;
    };
    tokio::join!(create(&core, "alice"), halfway);
    there.sim.set_latency(Duration::ZERO);
    core.close(SOON).await;
    drop(core);
    // An hour later its user had stopped it, and the create's time is long over.
    let instance = there.incus.instances().await.unwrap().remove(0).name;
    let kill = containarium_incus::StateChange::kill();
    let stopping = there.incus.change_state(&instance, &kill).await.unwrap();
    there.incus.wait(&stopping, SOON).await.unwrap();
    for queued in [true, false] {
        bring_back(&there, &copy);
        let db = rusqlite::Connection::open(there.state.path().join("containarium.db")).unwrap();
        let was = if queued { "queued" } else { "running" };
        db.execute(
            "UPDATE operations SET deadline = 5, state = ?1 WHERE state IN ('queued', 'running')",
            [was],
        )
        .unwrap();
        drop(db);
        let core = opened(&there).await;
        wait_for(SOON, "the create is done", async || {
            let left = core.inner.store.unfinished().await.unwrap();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
        assert_eq!(state(&core, "alice").await, Some(State::Stopped), "{was}");
        core.close(SOON).await;
    }
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_one_that_is_half_made_stays_while_it_is_young() {
    let there = Simulated::on(144).await;
    let core = opened(&there).await;
    let installation: Installation = core.inner.engine.installation.clone();
    let mut made = Vec::new();
    for (n, age) in [(0u32, 60), (1, 3600)] {
        let id = format!("{n:026}");
        let mut post = InstancePost::new(format!("c-{id}"), Source::None);
        post.config = [
            ("install", installation.id.clone()),
            ("id", id),
            ("phase", "creating".to_owned()),
            ("created", (clock::now() - age).to_string()),
        ]
        .map(|(key, value)| (format!("user.containarium.{key}"), value))
        .into();
        let root = [
            ("type", "disk"),
            ("path", "/"),
            ("pool", &installation.pool),
        ];
        let root = root.map(|(key, value)| (key.to_owned(), value.to_owned()));
        post.devices = [("root".to_owned(), root.into())].into();
        let operation = there.incus.create_instance(&post).await.unwrap();
        there.incus.wait(&operation, SOON).await.unwrap();
        made.push(post.name);
    }
    // Seen first a good minute ago.
    let mut suspects = HashMap::new();
    core.pass(&mut suspects).await.unwrap();
    assert_eq!(there.incus.instances().await.unwrap().len(), 2);
    for since in suspects.values_mut() {
        *since -= 61;
    }
    core.pass(&mut suspects).await.unwrap();
    let left = there.incus.instances().await.unwrap();
    let left: Vec<_> = left.into_iter().map(|one| one.name).collect();
    assert_eq!(left, made[..1], "the young one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_fails_before_anything_is_removed_loses_nothing() {
    let there = Simulated::on(145).await;
    let core = opened(&there).await;
    create(&core, "alice").await;
    let text = "the device is on fire".to_owned();
    there
        .sim
        .fail_next(On::ChangeState, Fault::FailLate { code: 500, text });
    let ask = DeleteContainer {
        username: "alice".parse().unwrap(),
        force: true,
        purge: false,
        id: None,
        only_kept: false,
    };
    core.delete(&admin_(), ask).await.unwrap_err();
    let mut suspects = HashMap::new();
    for _ in 0..3 {
        core.pass(&mut suspects).await.unwrap();
    }
    assert_eq!(names(&core).await, ["alice"]);
    assert_eq!(state(&core, "alice").await, Some(State::Running));
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
}
