//! What an operation says of its time is what its caller waited.

use std::time::{Duration, Instant};

use containarium_contract::{ListOperations, Operation, StepState};
use containarium_testkit::Key;
use serde_json::json;

use super::start;

/// What the parts of a create may leave out: writing it down, and HTTP.
const BESIDE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_create_add_up_to_what_its_caller_waited() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let begun = Instant::now();
    let made = daemon.ask_to_create("alice", &key, json!({})).await;
    let waited = begun.elapsed();
    assert_eq!(made.status, 201, "{made:?}");
    let list = daemon.admin().call(&ListOperations::default()).await;
    let operation: Operation = list.unwrap().operations.remove(0);
    let spent = |took: Option<u64>| Duration::from_millis(took.unwrap());
    let all = spent(operation.duration_ms);
    let steps: Duration = operation
        .steps
        .iter()
        .inspect(|step| assert_eq!(step.state, StepState::Succeeded, "{step:?}"))
        .map(|step| spent(step.duration_ms))
        .sum();
    let parts = spent(operation.queued_ms) + steps;
    println!("waited {waited:?}, all {all:?}, parts {parts:?}: {operation:#?}");
    assert!(all <= waited && waited - all < BESIDE, "{operation:#?}");
    assert!(parts.abs_diff(all) < BESIDE, "{operation:#?}");
    // It is the engine and the guest that take it.
    for name in ["make", "boot"] {
        let step = operation.steps.iter().find(|step| step.name == name);
        assert!(step.unwrap().duration_ms.unwrap() >= 10, "{operation:#?}");
    }
}
