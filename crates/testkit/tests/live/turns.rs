//! Many changes of one container at once: each has its turn, and what is so in the end is what some order
//! of them makes.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use containarium_client::doing;
use containarium_contract::{Container, Operation};
use containarium_testkit::{Answer, Key, Login, TestDaemon, small};
use serde_json::json;
use tokio::task::JoinSet;

use super::{SOON, start, state::told};

/// A change beside a delete is done where it came first, and else finds no container: there is no third order.
fn done_or_gone(answer: &Answer) {
    if answer.status != 200 {
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (404, "not_found"),
            "{answer:?}"
        );
    }
}

async fn ask(daemon: &TestDaemon, method: &str, path: &str) -> Answer {
    daemon.ask_as_admin(method, path, None).await
}

async fn add(daemon: &TestDaemon, key: &Key) -> Answer {
    let body = Some(json!({"key": key.public()}));
    daemon
        .ask_as_admin("POST", "/v1/containers/alice/ssh-keys", body)
        .await
}

const STOP: &str = "/v1/containers/alice/stop";
const START: &str = "/v1/containers/alice/start";

/// Whether it does what it is said to do.
async fn is_true(daemon: &TestDaemon, login: &Login) {
    let now = told(daemon, "alice").await;
    let works = login.run("true").await.status == 0;
    match now["state"].as_str().unwrap() {
        "running" => assert!(works, "{now}"),
        "stopped" => assert!(!works, "{now}"),
        other => panic!("{other}: {now}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_stops_and_keys_at_once_have_their_turns() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let alice: Container = daemon.create("alice", &key).await;
    let (one, two) = (Key::new(), Key::new());
    let login = key.login(&alice);
    for _ in 0..3 {
        let daemon = &daemon;
        let answers: [Answer; 6] = tokio::join!(
            ask(daemon, "POST", STOP),
            ask(daemon, "POST", START),
            add(daemon, &one),
            ask(daemon, "POST", STOP),
            add(daemon, &two),
            ask(daemon, "POST", START),
        )
        .into();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        is_true(daemon, &login).await;
    }
    ask(&daemon, "POST", START).await;
    for key in [&key, &one, &two] {
        key.login(&alice).says("true").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_during_a_start_and_what_comes_after_it() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let one = Key::new();
    for purge in ["", "&purge=true"] {
        daemon.create("alice", &key).await;
        let stopped = ask(&daemon, "POST", STOP).await;
        assert_eq!(stopped.status, 200, "{stopped:?}");
        let path = format!("/v1/containers/alice?force=true{purge}");
        let (started, deleted, added, again) = tokio::join!(
            ask(&daemon, "POST", START),
            ask(&daemon, "DELETE", &path),
            add(&daemon, &one),
            ask(&daemon, "POST", STOP),
        );
        for answer in [&started, &added, &again] {
            done_or_gone(answer);
        }
        assert_eq!(deleted.status, 200, "{deleted:?}");
        let gone = ask(&daemon, "GET", "/v1/containers/alice").await;
        assert_eq!(gone.status, 404, "{gone:?}");
        let left = bed.instances().await;
        let kept = usize::from(purge.is_empty());
        assert_eq!(left.len(), kept, "{left:?}");
        assert!(
            left.iter().all(|one| one.status_code.is_stopped()),
            "{left:?}"
        );
        ask(&daemon, "POST", "/v1/containers/alice/undelete").await;
        ask(
            &daemon,
            "DELETE",
            "/v1/containers/alice?force=true&purge=true",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_or_delete_during_a_create_is_told_to_come_back() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let (created, answers) = tokio::join!(daemon.ask_to_create("alice", &key, json!({})), async {
        containarium_testkit::wait_for(super::SOON, "the create has begun", async || {
            let got = ask(&daemon, "GET", "/v1/containers/alice").await;
            if got.status == 200 { Ok(()) } else { Err(got) }
        })
        .await;
        [
            ask(&daemon, "POST", STOP).await,
            ask(&daemon, "DELETE", "/v1/containers/alice?force=true").await,
        ]
    });
    for answer in &answers {
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (409, "busy"),
            "{answer:?}"
        );
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(created.status, 201, "{created:?}");
    // Neither has done anything.
    assert_eq!(told(&daemon, "alice").await["state"], "running");
    assert_eq!(ask(&daemon, "POST", STOP).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_burst_all_are_made_and_those_that_wait_say_their_place() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let names: Vec<String> = (0..12).map(|n| format!("alice{n}")).collect();
    let mut creates = JoinSet::new();
    for name in &names {
        let (admin, request) = (daemon.admin(), small(name, &key, json!({})));
        creates.spawn(async move {
            let mut said = Vec::new();
            let watch = |operation: &Operation| said.extend(doing(operation));
            let created = admin.follow(&request, watch).await;
            (created.map(|created| created.container), said)
        });
    }
    let made = creates.join_all().await;
    let waited = |said: &[String]| said.iter().any(|word| word.ends_with(" before it"));
    let waiting = made.iter().filter(|(_, said)| waited(said)).count();
    assert!(waiting >= 4, "{waiting} of 12 have said their place");
    for (created, said) in &made {
        let container = created.as_ref().unwrap_or_else(|e| panic!("{e}: {said:?}"));
        key.login(container).says("true").await;
    }
    for name in &names {
        daemon.delete(name).await;
    }
    bed.emptied(SOON).await;
}
