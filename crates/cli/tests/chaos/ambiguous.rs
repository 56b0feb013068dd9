//! Answers of the engine that are cut off after the request went through, an engine that hangs, and many
//! who want the same names while everything is killed.

use std::time::Duration;

use containarium_testkit::chaos::{Life, Outcome, Under, clean, hang, key};
use serde_json::{Value, json};

use containarium_simulated::{Fault, On};

use super::program;

fn small(name: &str) -> Value {
    json!({"username": name, "resources": {"cpu": "1", "memory": "512MiB", "disk": "3GB"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_answers_that_are_cut_off_make_nothing_twice() {
    let under = Under::sim(141).await;
    let sim = under.simulated().unwrap();
    // What was asked for is still being done when its answer breaks off.
    sim.set_latency(Duration::from_millis(5));
    let mut life = Life::new(program(), &under);
    life.start(None).await.unwrap();
    let calls = life.calls();
    calls.ready(under.patience()).await;
    let kinds = [On::Create, On::Wait, On::ChangeState, On::Patch, On::Delete];
    let (alice, force) = (small("alice"), json!({"force": true}));
    let does = async |method: &str, path: &str, body| {
        calls.does(method, path, &key(), body).await;
    };
    // Each round is one life of a container, with one of its answers cut off.
    for round in 0..200 {
        let kind = kinds[round % kinds.len()];
        sim.fail_next(kind, Fault::CutAnswer);
        does("POST", "/v1/containers", Some(&alice)).await;
        let made = under.instances().await.len();
        assert_eq!(made, 1, "{kind:?}: one instance, and not {made}");
        does("POST", "/v1/containers/alice/stop", Some(&force)).await;
        does("DELETE", "/v1/containers/alice?force=true&purge=true", None).await;
    }
    clean(&calls, &under).await;
    assert!(under.instances().await.is_empty());
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_creates_of_twenty_five_names_make_twenty_five_containers_whatever_is_killed() {
    let under = Under::sim(142).await;
    under
        .simulated()
        .unwrap()
        .set_latency(Duration::from_millis(20));
    let mut life = Life::new(program(), &under);
    life.start(None).await.unwrap();
    life.calls().ready(under.patience()).await;
    // Each name is asked for twice, by two who do not know of each other.
    // What they ask for differs, so that none is taken for the other asking again.
    let asked: Vec<(Value, String)> = (0..50)
        .map(|n| {
            let mut body = small(&format!("u{}", n % 25));
            body["labels"] = json!({"of": (n / 25).to_string()});
            (body, key())
        })
        .collect();
    for blow in 0..4 {
        let calls = life.calls();
        let mut all = tokio::task::JoinSet::new();
        for (body, key) in asked.clone() {
            let calls = calls.clone();
            all.spawn(async move {
                calls
                    .ask("POST", "/v1/containers", Some(&key), Some(&body))
                    .await
            });
        }
        tokio::time::sleep(Duration::from_millis(60 * blow)).await;
        life.kill().await;
        if blow % 2 == 1 {
            under.kill().await;
            under.start().await;
        }
        while all.join_next().await.is_some() {}
        life.start(None).await.unwrap();
        life.calls().ready(under.patience()).await;
    }
    let calls = life.calls();
    let mut made = 0;
    let mut taken = 0;
    for (body, key) in &asked {
        let outcome = loop {
            match calls
                .ask("POST", "/v1/containers", Some(key), Some(body))
                .await
            {
                Outcome::Answered(answer) if answer.status == 503 => {}
                other => break other,
            }
        };
        match outcome {
            Outcome::Answered(answer) if answer.status == 201 => made += 1,
            Outcome::Answered(answer) if answer.status == 409 => taken += 1,
            other => panic!("{body}: {other:?}"),
        }
    }
    assert_eq!((made, taken), (25, 25), "one of each two has it");
    clean(&calls, &under).await;
    assert_eq!(under.instances().await.len(), 25);
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_takes_nothing_with_it() {
    let under = Under::sim(143).await;
    under
        .simulated()
        .unwrap()
        .set_latency(Duration::from_millis(20));
    let mut life = Life::new(program(), &under);
    life.start(None).await.unwrap();
    hang(&under, &life, Duration::from_secs(20)).await;
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_not_built_beside_tests_has_no_kill_points() {
    // What cargo builds for use, asked of cargo: the feature is on for tests only.
    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "containarium",
            "-e",
            "normal,features",
        ])
        .args(["-i", "containarium-core"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tree.stdout);
    assert!(
        tree.status.success() && said.contains("containarium-daemon"),
        "{tree:?}"
    );
    assert!(!said.contains("kill-points"), "{said}");
    // And with it the variable is not even in the program.
    let built = std::fs::read(program()).unwrap();
    let name = containarium_core::KILL_VARIABLE.as_bytes();
    let has = built.windows(name.len()).any(|window| window == name);
    assert!(has, "this one has them");
}
