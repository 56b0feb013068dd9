//! Containers on an incusd in memory: what a create holds, what a failure leaves, who is told what.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{
    AddSshKey, CreateContainer, DeleteContainer, EngineHealth, Face, GetContainer, GetOperation,
    ListContainers, OperationState, Reason, StartContainer, State, StopContainer,
};
use containarium_core::{
    Asked, Containarium, Error, Fault, Principal, Role, Settings, Step, Store,
};
use containarium_incus_sim::{Fault as SimFault, On};
use containarium_testkit::Simulated;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The service on an installation in memory; `subnet` keeps tests that run side by side apart.
struct Bed {
    core: Containarium,
    there: Simulated,
}

async fn bed(subnet: u8) -> Bed {
    let there = Simulated::on(subnet).await;
    let core = opened(&there).await;
    Bed { core, there }
}

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap()
}

impl Bed {
    async fn create(&self, who: &Principal, ask: Value) -> Result<String, Error> {
        let ask: CreateContainer = serde_json::from_value(ask).unwrap();
        self.core.create(who, ask).await.map(|made| made.message)
    }

    /// Usernames that the store knows, and how many instances the engine has.
    async fn there(&self) -> (Vec<String>, usize) {
        let all = self
            .core
            .list(&admin(), ListContainers::default())
            .await
            .unwrap();
        let instances = self.there.incus.instances().await.unwrap();
        let names = all
            .containers
            .iter()
            .map(|c| c.username.to_string())
            .collect();
        (names, instances.len())
    }

    /// Waits until nothing is there: what could not be undone at once is undone soon after.
    async fn emptied(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let there = self.there().await;
            if there == (vec![], 0) {
                return;
            }
            assert!(Instant::now() < end, "still there: {there:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn who(subject: &str, role: Role) -> Principal {
    Principal {
        subject: subject.parse().unwrap(),
        roles: vec![role],
        restrictions: Vec::new(),
    }
}

fn admin() -> Principal {
    who("root", Role::Admin)
}

fn get(name: &str) -> GetContainer {
    GetContainer {
        username: name.parse().unwrap(),
    }
}

#[tokio::test]
async fn a_container_lives_from_create_to_delete() {
    let bed = bed(101).await;
    let message = bed
        .create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap();
    assert!(message.contains("no SSH key"), "{message}");
    let found = bed.core.get(&admin(), get("alice")).await.unwrap();
    assert_eq!(found.container.state, Some(State::Running));
    assert_eq!(found.container.owner.as_str(), "alice");

    let stop: StopContainer = serde_json::from_value(json!({"username": "alice"})).unwrap();
    let stopped = bed.core.stop(&admin(), stop.clone()).await.unwrap();
    assert_eq!(stopped.container.state, Some(State::Stopped));
    assert!(
        bed.core
            .stop(&admin(), stop)
            .await
            .unwrap()
            .message
            .contains("already")
    );

    let start = StartContainer {
        username: "alice".parse().unwrap(),
    };
    let started = bed.core.start(&admin(), start.clone()).await.unwrap();
    assert_eq!(started.container.state, Some(State::Running));
    assert!(
        bed.core
            .start(&admin(), start)
            .await
            .unwrap()
            .message
            .contains("already")
    );

    let delete = |force| DeleteContainer {
        username: "alice".parse().unwrap(),
        force,
        purge: true,
        id: None,
        only_kept: false,
    };
    let refused = bed.core.delete(&admin(), delete(false)).await.unwrap_err();
    assert!(matches!(refused, Error::NotStopped(_)), "{refused}");
    bed.core.delete(&admin(), delete(true)).await.unwrap();
    assert_eq!(bed.there().await, (vec![], 0));
    let gone = bed.core.get(&admin(), get("alice")).await.unwrap_err();
    assert!(matches!(gone, Error::NoContainer(_)), "{gone}");
}

/// The kind of an error, as its caller is told it.
fn reason(error: &Error) -> Reason {
    Fault::from(error).reason
}

#[tokio::test]
async fn a_container_asked_for_twice_at_once_is_made_once() {
    let bed = bed(102).await;
    let admin = admin();
    let (a, b) = tokio::join!(
        bed.create(&admin, json!({"username": "alice"})),
        bed.create(&admin, json!({"username": "alice"}))
    );
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(bed.there().await, (vec!["alice".to_owned()], 1));
    let over = bed.create(&admin, json!({"username": "alice"})).await;
    let over = over.unwrap_err();
    assert!(matches!(over, Error::NameTaken(_)), "{over:?}");
}

#[tokio::test]
async fn a_create_that_fails_leaves_nothing_and_says_where_and_why() {
    let bed = bed(103).await;
    let late = SimFault::FailLate {
        code: 500,
        text: "boom".into(),
    };
    let start = SimFault::FailStart {
        code: 500,
        text: "no such device".into(),
    };
    let dies = SimFault::DieAfterStart {
        console: "Exiting PID 1".into(),
    };
    for (fault, at, says) in [
        (late, Step::Make, "boom"),
        (start, Step::Make, "no such device"),
        (dies, Step::Boot, "Exiting PID 1"),
    ] {
        bed.there.sim.fail_next(On::Create, fault);
        let failed = bed
            .create(&admin(), json!({"username": "alice"}))
            .await
            .unwrap_err();
        assert_eq!(reason(&failed), Reason::Internal, "{failed:?}");
        let step = format!("failed in step `{}`", at.as_str());
        let told = failed.to_string();
        assert!(told.contains(&step) && told.contains(says), "{told}");
        assert_eq!(bed.there().await, (vec![], 0));
    }
    bed.create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_that_somebody_else_has_is_left_to_him() {
    let bed = bed(108).await;
    let taken = SimFault::FailStart {
        code: 409,
        text:
            r#"Failed to start device "eth0": IP address "10.0.0.1" already defined on another NIC"#
                .into(),
    };
    bed.there.sim.fail_next(On::Create, taken.clone());
    bed.there.sim.fail_next(On::Create, taken);
    bed.create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap();
    let alice = bed.core.get(&admin(), get("alice")).await.unwrap();
    let alice = alice.container;
    let instances = bed.there.incus.instances().await.unwrap();
    let [instance] = &instances[..] else {
        panic!("{instances:?}")
    };
    let nic = &instance.devices["eth0"];
    assert_eq!(nic["ipv4.address"], alice.network.ip_address.to_string());
    assert_eq!(nic["hwaddr"], alice.network.mac_address);
    // The third that was tried.
    assert!(alice.network.ip_address.ends_with(".12"), "{alice:?}");
}

#[tokio::test]
async fn the_last_user_ids_are_enough_for_one_whose_address_somebody_else_has() {
    let there = Simulated::on(138).await;
    let store = Store::open(there.state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.uid_ranges = 1;
    store.set_installation(&installation).await.unwrap();
    drop(store);
    let core = opened(&there).await;
    let bed = Bed { core, there };
    let taken = SimFault::FailStart {
        code: 409,
        text:
            r#"Failed to start device "eth0": IP address "10.0.0.1" already defined on another NIC"#
                .into(),
    };
    bed.there.sim.fail_next(On::Create, taken);
    bed.create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap();
    let refused = bed.create(&admin(), json!({"username": "bob"})).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), Reason::InsufficientStorage, "{refused:?}");
}

#[tokio::test]
async fn a_create_whose_answer_never_came_is_found_and_finished() {
    let bed = bed(104).await;
    for name in ["alice", "bob"] {
        bed.there.sim.fail_next(On::Create, SimFault::CutAnswer);
        bed.create(&admin(), json!({ "username": name }))
            .await
            .unwrap();
    }
    assert_eq!(
        bed.there().await,
        (vec!["alice".to_owned(), "bob".to_owned()], 2)
    );
}

/// A create that fails, and whose instance cannot be deleted at the first try.
async fn left_behind(bed: &Bed) {
    bed.there.sim.fail_next(
        On::Create,
        SimFault::FailStart {
            code: 500,
            text: "no".into(),
        },
    );
    for _ in 0..2 {
        bed.there.sim.fail_next(
            On::Delete,
            SimFault::FailLate {
                code: 500,
                text: "not empty".into(),
            },
        );
    }
    bed.create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap_err();
    assert_eq!(
        bed.there().await,
        (vec!["alice".to_owned()], 1),
        "still being removed"
    );
}

#[tokio::test]
async fn a_failed_create_that_cannot_be_undone_now_is_undone_later() {
    let bed = bed(105).await;
    left_behind(&bed).await;
    bed.emptied().await;
}

#[tokio::test]
async fn a_daemon_takes_up_the_removals_of_the_one_before() {
    let mut bed = bed(106).await;
    left_behind(&bed).await;
    bed.core.close(Duration::from_secs(5)).await;
    bed.core = opened(&bed.there).await;
    bed.emptied().await;
}

#[tokio::test]
async fn a_missing_image_is_named_with_what_is_there_instead() {
    let bed = bed(107).await;
    let ask = json!({"username": "alice", "image": "images:ubuntu/24.04"});
    let failed = bed.create(&admin(), ask).await.unwrap_err();
    assert_eq!(reason(&failed), Reason::ImageUnavailable, "{failed:?}");
    let told = failed.to_string();
    assert!(
        told.ends_with("available are: local:debian/12, local:debian/13"),
        "{told}"
    );
    assert_eq!(bed.there().await, (vec![], 0));
}

#[tokio::test]
async fn what_the_host_does_not_have_is_capped_and_said() {
    let bed = bed(108).await;
    let resources = json!({"cpu": 4096, "memory": "900TB", "disk": "900TB"});
    let ask = json!({"username": "alice", "resources": resources});
    let message = bed.create(&admin(), ask).await.unwrap();
    assert_eq!(message.matches("capped").count(), 3, "{message}");
    let shown = bed
        .core
        .get(&admin(), get("alice"))
        .await
        .unwrap()
        .container
        .resources;
    let pool = bed
        .there
        .incus
        .storage_pool_resources("containarium")
        .await
        .unwrap();
    assert_eq!(shown.disk.bytes(), pool.total);
}

#[tokio::test]
async fn owners_see_their_own_and_others_are_told_nothing() {
    let bed = bed(109).await;
    let (alice, bob) = (who("alice", Role::User), who("bob", Role::User));
    bed.create(&alice, json!({"username": "dev"}))
        .await
        .unwrap();
    let own = bed.core.get(&alice, get("dev")).await.unwrap();
    assert_eq!(own.container.owner.as_str(), "alice");
    for name in ["dev", "nix"] {
        let told = bed.core.get(&bob, get(name)).await.unwrap_err();
        assert!(matches!(told, Error::NoContainer(_)), "{told:?}");
    }
    assert_eq!(
        bed.core
            .list(&bob, ListContainers::default())
            .await
            .unwrap()
            .total_count,
        0
    );
    let taken = bed
        .create(&bob, json!({"username": "dev"}))
        .await
        .unwrap_err();
    assert!(matches!(taken, Error::NameTaken(_)), "{taken:?}");
    let ask = json!({"username": "x", "owner": "alice"});
    let refused = bed.create(&bob, ask).await.unwrap_err();
    assert!(matches!(refused, Error::ForeignOwner), "{refused:?}");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let bed = bed(110).await;
    for name in ["a", "b", "c"] {
        let ask = json!({"username": name, "labels": {"first": (name == "a").to_string()}});
        bed.create(&admin(), ask).await.unwrap();
    }
    let list = async |ask: Value| {
        let ask: ListContainers = serde_json::from_value(ask).unwrap();
        let page = bed.core.list(&admin(), ask).await.unwrap();
        let names: Vec<_> = page
            .containers
            .iter()
            .map(|c| c.username.to_string())
            .collect();
        (
            names.join(" "),
            page.total_count,
            page.next_cursor.map(|c| c.to_string()),
        )
    };
    let next = Some("b".to_owned());
    assert_eq!(list(json!({"limit": 2})).await, ("a b".into(), 3, next));
    assert_eq!(
        list(json!({"limit": 2, "cursor": "b"})).await,
        ("c".into(), 3, None)
    );
    assert_eq!(
        list(json!({"label": "first=true"})).await,
        ("a".into(), 1, None)
    );
    assert_eq!(list(json!({"label": "first"})).await.1, 3);
    assert_eq!(list(json!({"owner": "b"})).await, ("b".into(), 1, None));
    assert_eq!(list(json!({"state": "stopped"})).await.1, 0);
}

#[tokio::test]
async fn while_the_engine_hangs_reads_tell_what_the_store_knows() {
    let bed = bed(111).await;
    bed.create(&admin(), json!({"username": "alice"}))
        .await
        .unwrap();
    bed.there.sim.hang(true);
    let admin = admin();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let asked = Instant::now();
        let found = bed.core.get(&admin, get("alice")).await.unwrap();
        assert!(
            asked.elapsed() < Duration::from_millis(200),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(
            found.container.state,
            Some(State::Running),
            "as it was last seen"
        );
        if found.engine == EngineHealth::Unreachable {
            break;
        }
        assert!(Instant::now() < end, "the engine is told to answer");
        sleep(Duration::from_millis(100)).await;
    }
    let refused = bed
        .create(&admin, json!({"username": "bob"}))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), Reason::EngineUnavailable, "{refused:?}");
    bed.there.sim.hang(false);
    let end = Instant::now() + Duration::from_secs(20);
    while bed.core.get(&admin, get("alice")).await.unwrap().engine != EngineHealth::Ok {
        assert!(Instant::now() < end, "the engine is not noticed again");
        sleep(Duration::from_millis(100)).await;
    }
    bed.create(&admin, json!({"username": "bob"}))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_waited_for_a_delete_finds_no_container_any_more() {
    let bed = bed(120).await;
    let (core, admin) = (&bed.core, admin());
    bed.create(&admin, json!({"username": "alice"}))
        .await
        .unwrap();
    // Until it is tagged, that has the turn.
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let made = bed.there.incus.instances().await.unwrap().remove(0);
        if made
            .config
            .get("user.containarium.phase")
            .is_some_and(|phase| phase == "ready")
        {
            break;
        }
        assert!(Instant::now() < end, "it is not tagged: {made:?}");
        sleep(Duration::from_millis(5)).await;
    }
    bed.there.sim.hang(true);
    let asked = || Asked::from(&admin);
    let delete: DeleteContainer =
        serde_json::from_value(json!({"username": "alice", "force": true})).unwrap();
    let deleted = core.begin_delete(asked(), delete.clone()).await.unwrap();
    let look: GetOperation = serde_json::from_value(json!({"id": deleted.id})).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = core.get_operation(&admin, Face::Rest, look.clone()).await;
        if found.unwrap().operation.state == OperationState::Running {
            break;
        }
        assert!(Instant::now() < end, "it does not begin");
        sleep(Duration::from_millis(5)).await;
    }
    let alice = json!({"username": "alice"});
    let start: StartContainer = serde_json::from_value(alice.clone()).unwrap();
    let stop: StopContainer = serde_json::from_value(alice).unwrap();
    let key = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{:0>43}", 1);
    let add: AddSshKey = serde_json::from_value(json!({"username": "alice", "key": key})).unwrap();
    let purge = DeleteContainer {
        purge: true,
        ..delete
    };
    let started = core.begin_start(asked(), start).await.unwrap();
    let stopped = core.begin_stop(asked(), stop).await.unwrap();
    let added = core.begin_add_ssh_key(asked(), add).await.unwrap();
    let purged = core.begin_delete(asked(), purge).await.unwrap();
    bed.there.sim.hang(false);
    assert!(core.done(deleted).await.unwrap().deleted_until.is_some());
    for error in [
        core.done(started).await.unwrap_err(),
        core.done(stopped).await.unwrap_err(),
        core.done(added).await.unwrap_err(),
        core.done(purged).await.unwrap_err(),
    ] {
        assert_eq!(reason(&error), Reason::NotFound, "{error:?}");
    }
    let kept = bed.there.incus.instances().await.unwrap().remove(0);
    assert!(kept.status_code.is_stopped(), "{kept:?}");
}
