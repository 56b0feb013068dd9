//! What is told as left behind, on an incusd in memory.

use std::os::unix::process::CommandExt as _;

use containarium_contract::{CreateContainer, EngineHealth};
use containarium_incus::{InstancePost, Source};
use containarium_testkit::{Simulated, wait_for};
use serde_json::json;

use super::*;
use crate::{Role, Settings, Store};

const SOON: Duration = Duration::from_secs(20);

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default());
    core.await.unwrap()
}

fn root() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

/// Kind and name of each leak.
async fn left(core: &Containarium) -> Vec<(String, String)> {
    let list = core.leaks(&root(), ListLeaks {}).await.unwrap();
    assert_eq!(list.engine, EngineHealth::Ok);
    let all = list.leaks.into_iter();
    all.map(|leak| (leak.kind, leak.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_preparation_that_was_cut_off_is_a_leak_unless_one_is_under_way() {
    let there = Simulated::on(166).await;
    let core = opened(&there).await;
    assert_eq!(left(&core).await, []);
    let image = there
        .sim
        .add_image("left", &[("containarium.recipe", "of some day")]);
    assert_eq!(left(&core).await, [], "it has a name");
    there.incus.delete_image_alias("left").await.unwrap();
    let leak = ("image".to_owned(), image);
    assert_eq!(left(&core).await, std::slice::from_ref(&leak));
    let turn = core.inner.turn.take().await.unwrap();
    assert_eq!(
        left(&core).await,
        [],
        "whoever prepares is about to name it"
    );
    drop(turn);
    assert_eq!(left(&core).await, [leak]);
    core.close(SOON).await;
}

/// Ended when dropped, also by a test that fails.
struct Process(std::process::Child);

impl Process {
    fn called(command: &str) -> Self {
        let mut sleep = std::process::Command::new("sleep");
        Self(sleep.arg0(command).arg("120").spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_works_for_an_instance_that_is_gone_is_a_leak() {
    let there = Simulated::on(167).await;
    let core = opened(&there).await;
    let ask: CreateContainer = serde_json::from_value(json!({"username": "alice"})).unwrap();
    core.create(&root(), ask).await.unwrap();
    let alice = core.inner.store.container(&"alice".parse().unwrap());
    let alice = alice.unwrap().instance();
    let dir = there.sim.socket().parent().unwrap().display().to_string();
    let project = there.incus.project_name().unwrap();
    let monitor = |dir: &str, instance: &str| {
        Process::called(&format!(
            "[lxc monitor] {dir}/containers {project}_{instance}"
        ))
    };
    let (_hers, _elsewhere) = (monitor(&dir, &alice), monitor("/elsewhere", "c-gone"));
    assert_eq!(left(&core).await, []);
    let orphan = monitor(&dir, "c-gone");
    let leak = ("process".to_owned(), orphan.0.id().to_string());
    wait_for(SOON, "it is told", async || {
        let left = left(&core).await;
        if left == [leak.clone()] {
            Ok(())
        } else {
            Err(left)
        }
    })
    .await;
    drop(orphan);
    assert_eq!(left(&core).await, []);
    core.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_nobody_keeps_or_removes_is_a_leak_after_a_minute() {
    let there = Simulated::on(168).await;
    let core = opened(&there).await;
    // Nobody is left who removes it, or looks at what there is.
    core.inner.closing.cancel();
    core.inner.tasks.close();
    core.inner.tasks.wait().await;
    let installation = core.inner.engine.installation.clone();
    let id = "0".repeat(26);
    let mut post = InstancePost::new(format!("c-{id}"), Source::None);
    post.config = [
        ("install", installation.id.clone()),
        ("id", id.clone()),
        ("phase", "standby".to_owned()),
        ("image", installation.default_image.to_string()),
        ("docker", "true".to_owned()),
        ("created", clock::now().to_string()),
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
    let made = there.incus.create_instance(&post).await.unwrap();
    there.incus.wait(&made, SOON).await.unwrap();
    core.look_at_all().await.unwrap();
    // Seen so first a good minute ago.
    let ago = Instant::now() - Duration::from_secs(61);
    assert_eq!(core.strays(ago), [], "it may be about to go");
    // A daemon that stops asks no questions any more.
    let left = async || {
        let all = core.leaks_of_engine().await.unwrap().into_iter();
        all.map(|leak| (leak.kind, leak.name)).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [("instance".to_owned(), post.name.clone())]);
    // One that waits is none, however long.
    core.inner.inventory.set(&post.name, State::Frozen);
    assert_eq!(left().await, []);
}
