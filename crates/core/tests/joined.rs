//! A create that is asked for again while the first is under way is the first, on an incusd in memory.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use containarium_contract::{
    CreateContainer, Face, GetOperation, Hint, OperationId, OperationStep, Reason, StepState,
};
use containarium_core::{
    Asked, Begun, Containarium, Error, Fault, Principal, Role, Settings, Store,
};
use containarium_testkit::{Simulated, wait_for};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap()
}

fn asked(subject: &str, role: Role, key: Option<&str>) -> Asked {
    Asked {
        who: Principal {
            subject: subject.parse().unwrap(),
            restrictions: Vec::new(),
            roles: vec![role],
        },
        key: key.map(|key| key.parse().unwrap()),
        cause: "a test".to_owned(),
    }
}

async fn begin(
    core: &Containarium,
    asked: Asked,
    ask: Value,
) -> Result<Begun<CreateContainer>, Error> {
    let ask = serde_json::from_value(ask).unwrap();
    core.begin_create(asked, ask).await
}

/// The operation that it is said to be.
async fn id(core: &Containarium, asked: Asked, ask: Value) -> OperationId {
    begin(core, asked, ask).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_create_is_joined_under_any_key_and_another_is_told_what_makes_it() {
    let there = Simulated::on(174).await;
    let core = opened(&there).await;
    there.sim.set_latency(Duration::from_millis(700));
    let root = |key| asked("root", Role::Admin, key);
    let alice = || json!({"username": "alice"});
    let first = begin(&core, root(None), alice()).await.unwrap();
    assert_eq!(id(&core, root(None), alice()).await, first.id);
    assert_eq!(id(&core, root(Some("one")), alice()).await, first.id);
    let at_once = json!({"username": "alice", "async": true});
    assert_eq!(id(&core, root(Some("two")), at_once).await, first.id);

    // Another request, another caller, and the same words that mean another owner.
    let other = json!({"username": "alice", "labels": {"a": "b"}});
    let seen = begin(&core, root(None), other.clone()).await.unwrap_err();
    let fault = Fault::from(&seen);
    assert_eq!(fault.reason, Reason::AlreadyExists);
    assert_eq!(fault.hint, Some(Hint::GetOperation(first.id.clone())));
    assert!(seen.to_string().contains("alice-container"), "{seen}");
    let foreign = begin(&core, asked("eve", Role::User, None), alice()).await;
    let foreign = foreign.unwrap_err();
    assert!(matches!(foreign, Error::NameTaken(_)), "{foreign}");
    let own = begin(&core, asked("root", Role::User, None), alice()).await;
    let own = own.unwrap_err();
    assert!(matches!(own, Error::NameTaken(_)), "{own}");

    core.done(first.clone()).await.unwrap();
    // A key that joined it names it; without one it is another create now.
    assert_eq!(id(&core, root(Some("one")), alice()).await, first.id);
    assert_eq!(id(&core, root(Some("two")), alice()).await, first.id);
    let reused = begin(&core, root(Some("one")), other).await.unwrap_err();
    assert_eq!(Fault::from(&reused).reason, Reason::InvalidValue);
    let over = begin(&core, root(None), alice()).await.unwrap_err();
    assert!(matches!(over, Error::NameTaken(_)), "{over}");
    assert_eq!(there.incus.instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_being_cancelled_is_not_joined() {
    let there = Simulated::on(175).await;
    let core = opened(&there).await;
    there.sim.set_latency(Duration::from_millis(700));
    let root = || asked("root", Role::Admin, None);
    let alice = || json!({"username": "alice"});
    let first = begin(&core, root(), alice()).await.unwrap();
    let who = root().who;
    // Where the engine makes it, which cannot be cut off there.
    let look: GetOperation = serde_json::from_value(json!({"id": first.id})).unwrap();
    wait_for(SOON, "it is being made", async || {
        let seen = core.get_operation(&who, Face::Rest, look.clone()).await;
        let steps = seen.unwrap().operation.steps;
        let make = steps.into_iter().find(|step| step.name == "make");
        let running = |step: &OperationStep| step.state == StepState::Running;
        if make.as_ref().is_some_and(running) {
            Ok(())
        } else {
            Err(make)
        }
    })
    .await;
    let cancel = serde_json::from_value(json!({"id": first.id})).unwrap();
    let cancelled = core.cancel_operation(&who, Face::Rest, cancel).await;
    cancelled.unwrap();
    let refused = begin(&core, root(), alice()).await.unwrap_err();
    assert!(matches!(refused, Error::BeingMade { .. }), "{refused}");
    core.done(first).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_joined_while_the_engine_is_silent_and_by_the_next_daemon() {
    let there = Simulated::on(176).await;
    let core = opened(&there).await;
    there.sim.set_latency(Duration::from_millis(500));
    let root = || asked("root", Role::Admin, None);
    let ask = |n: usize| json!({"username": format!("u{n}")});
    // So many that the last wait for their turn, and are left to the next daemon.
    let many = std::thread::available_parallelism().unwrap().get() + 4;
    let mut ids = Vec::new();
    for n in 0..many {
        ids.push(id(&core, root(), ask(n)).await);
    }
    core.close(SOON).await;
    drop(core);
    let core = opened(&there).await;
    let last = begin(&core, root(), ask(many - 1)).await.unwrap();
    assert_eq!(last.id, ids[many - 1]);
    there.sim.hang(true);
    assert_eq!(id(&core, root(), ask(many - 1)).await, last.id);
    there.sim.hang(false);
    core.done(last).await.unwrap();
}
