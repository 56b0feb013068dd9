//! Changes that are not waited for, and what is told of them.

use std::time::{Duration, Instant};

use containarium_core::Role;
use containarium_incus_sim::{Fault, On};
use containarium_testkit::{Answer, wait_for};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::installed::Installed;

const SOON: Duration = Duration::from_secs(20);
/// How long a cancel may take until nothing is left.
const CLEAN: Duration = Duration::from_secs(15);
const ASYNC: (&str, &str) = ("prefer", "respond-async");

impl Installed {
    /// Begins a change and does not wait for it; answers with its operation's id.
    pub(crate) async fn begin(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let (token, body) = (self.daemon.admin_token(), body.map(|body| body.to_string()));
        let begun = self
            .daemon
            .ask_with(method, path, Some(&token), body.as_deref(), &[ASYNC])
            .await;
        assert_eq!(begun.status, 202, "{begun:?}");
        begun.json()["operation"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn create(&self, username: &str) -> String {
        let ask = json!({"username": username});
        self.begin("POST", "/v1/containers", Some(ask)).await
    }

    pub(crate) async fn operation(&self, id: &str) -> Value {
        let path = format!("/v1/operations/{id}");
        let got = self.daemon.ask_as_admin("GET", &path, None).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.json()["operation"].clone()
    }

    pub(crate) async fn ended(&self, id: &str) -> Value {
        let path = format!("/v1/operations/{id}/wait?timeout=30");
        let got = self.daemon.ask_as_admin("GET", &path, None).await;
        got.json()["operation"].clone()
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        let path = format!("/v1/operations/{id}/cancel");
        self.daemon.ask_as_admin("POST", &path, None).await
    }

    /// Waits until a step of the operation is under way.
    pub(crate) async fn reaches(&self, id: &str, step: &str) {
        wait_for(SOON, step, async || {
            let operation = self.operation(id).await;
            let steps = operation["steps"].as_array().unwrap();
            let found = steps.iter().find(|one| one["name"] == step).unwrap();
            if found["state"] == "running" {
                Ok(())
            } else {
                Err(operation)
            }
        })
        .await;
    }

    /// Nothing is left of what was cancelled: no row, no instance, no leak.
    pub(crate) async fn clean(&self, since: Instant) {
        wait_for(CLEAN, "nothing is left", async || {
            let leaks = self
                .daemon
                .ask_as_admin("GET", "/v1/admin/leaks", None)
                .await;
            let list = self
                .daemon
                .ask_as_admin("GET", "/v1/containers", None)
                .await;
            let instances = self.there.incus.instances().await.unwrap();
            let none = leaks.json()["leaks"].as_array().is_some_and(Vec::is_empty);
            if none && list.json()["totalCount"] == 0 && instances.is_empty() {
                Ok(())
            } else {
                Err((leaks, list, instances.len()))
            }
        })
        .await;
        assert!(since.elapsed() <= CLEAN, "{:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_not_waited_for_is_an_operation_with_the_same_answer() {
    let here = Installed::new(171).await;
    let token = here.daemon.admin_token();
    let ask = json!({"username": "alice"}).to_string();
    let key = ("idempotency-key", "once");
    let begun = here
        .daemon
        .ask_with(
            "POST",
            "/v1/containers",
            Some(&token),
            Some(&ask),
            &[ASYNC, key],
        )
        .await;
    assert_eq!(begun.status, 202, "{begun:?}");
    assert_eq!(begun.header("preference-applied"), Some("respond-async"));
    let id = begun.json()["operation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        begun.header("location"),
        Some(&*format!("/v1/operations/{id}"))
    );
    let ended = here.ended(&id).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(
        (&ended["kind"], &ended["target"]),
        (&json!("create"), &json!("alice"))
    );
    assert_eq!(
        (&ended["progress"], &ended["attempt"]),
        (&json!(100), &json!(1))
    );
    assert_eq!(
        (&ended["actor"], &ended["cause"]),
        (&json!("admin"), &json!("a request by rest"))
    );
    for time in ["deadline", "createdAt", "updatedAt"] {
        assert!(ended[time].as_str().unwrap().ends_with('Z'), "{ended}");
    }
    let steps = ended["steps"].as_array().unwrap();
    let names: Vec<_> = steps
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["reserve", "make", "boot", "commit"]);
    for step in steps {
        assert_eq!(step["state"], "succeeded", "{step}");
        assert!(
            step["startedAt"].as_str() <= step["endedAt"].as_str(),
            "{step}"
        );
    }
    // Who waits is answered what the operation answers.
    let waited = here
        .daemon
        .ask_with("POST", "/v1/containers", Some(&token), Some(&ask), &[key])
        .await;
    assert_eq!(
        (waited.status, waited.json()),
        (201, ended["result"].clone())
    );
    assert_eq!(waited.header("containarium-operation"), Some(&*id));
    // Its own field says the same as the header.
    let ask = json!({"username": "bob", "async": true});
    let begun = here
        .daemon
        .ask_as_admin("POST", "/v1/containers", Some(ask))
        .await;
    assert_eq!(
        (begun.status, begun.header("preference-applied")),
        (202, None),
        "{begun:?}"
    );
    // A wait that is too short says how far it is.
    let id = begun.json()["operation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(here.ended(&id).await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_fails_says_why_and_its_progress_never_falls() {
    let here = Installed::new(172).await;
    here.there.sim.set_latency(Duration::from_millis(200));
    let (code, text) = (500, "Failed to run: forkstart: exit status 1".to_owned());
    here.there
        .sim
        .fail_next(On::Create, Fault::FailStart { code, text });
    let id = here.create("alice").await;
    let mut progress = Vec::new();
    let ended = wait_for(SOON, "it ends", async || {
        let now = here.operation(&id).await;
        progress.push(now["progress"].as_u64().unwrap());
        if now["state"] == "failed" {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await;
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(ended["error"]["code"], 500, "{ended}");
    assert_eq!(ended["error"]["requestId"], id.as_str(), "{ended}");
    let make = &ended["steps"][1];
    assert_eq!(
        (&make["name"], &make["state"]),
        (&json!("make"), &json!("failed"))
    );
    assert!(ended["result"].is_null(), "{ended}");
    here.clean(Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_listed_youngest_first_by_page_and_by_what_is_sought() {
    let here = Installed::new(173).await.with_alice().await;
    for verb in ["stop", "start", "stop", "start", "stop"] {
        let path = format!("/v1/containers/alice/{verb}");
        here.daemon.ask_as_admin("POST", &path, None).await;
    }
    let bob = here.create("bob").await;
    here.ended(&bob).await;
    let ids = |answer: &Answer| -> Vec<String> {
        let all = answer.json()["operations"].as_array().unwrap().clone();
        all.iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = async |query: &str| {
        let path = format!("/v1/operations{query}");
        here.daemon.ask_as_admin("GET", &path, None).await
    };
    let all = ids(&list("").await);
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    assert_eq!(all[0], bob);
    let mut paged = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = list(&query).await;
        paged.extend(ids(&page));
        let Some(cursor) = page.json()["nextCursor"].as_str().map(str::to_owned) else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, all);
    for (query, many) in [
        ("?target=alice", 6),
        ("?target=bob", 1),
        ("?kind=stop", 3),
        ("?kind=stop&target=bob", 0),
        ("?state=succeeded", 7),
        ("?state=running", 0),
    ] {
        assert_eq!(ids(&list(query).await).len(), many, "{query}");
    }
    let bad = list("?state=nosuch").await;
    assert!([400, 422].contains(&bad.status), "{bad:?}");
    // A page of nothing could say neither that there is more nor where it goes on.
    for list in ["/v1/operations", "/v1/containers"] {
        let path = format!("{list}?limit=0");
        let none = here.daemon.ask_as_admin("GET", &path, None).await;
        assert_eq!(none.status, 422, "{path}: {none:?}");
        let said = none.json()["error"].as_str().unwrap().to_owned();
        assert!(said.starts_with("`limit`: "), "{path}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_the_operations_on_his_own_and_no_others() {
    let here = Installed::new(174).await.with_alice().await;
    let bob = here.create("bob").await;
    here.ended(&bob).await;
    let token = here.daemon.token("alice", &[Role::User]);
    let ask = async |path: &str| here.daemon.ask("GET", path, Some(&token), None).await;
    let list = ask("/v1/operations").await.json();
    let targets: Vec<_> = list["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["target"])
        .collect();
    assert_eq!(targets, ["alice"]);
    let foreign = ask(&format!("/v1/operations/{bob}")).await;
    let missing = ask("/v1/operations/01JD3ZQ8M4K6T1W9V5R2X7Y0BC").await;
    assert_eq!((foreign.status, missing.status), (404, 404), "{foreign:?}");
    let without = |answer: &Answer, id: &str| answer.body.replace(id, "ID");
    assert_eq!(
        without(&foreign, &bob),
        without(&missing, "01JD3ZQ8M4K6T1W9V5R2X7Y0BC")
    );
    let path = format!("/v1/operations/{bob}/cancel");
    let cancel = here.daemon.ask("POST", &path, Some(&token), None).await;
    assert_eq!(cancel.status, 404, "{cancel:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_cancelled_leaves_nothing_wherever_it_is() {
    let here = Installed::new(175).await;
    // While the engine makes it, which cannot be cut off there.
    here.there.sim.set_latency(Duration::from_millis(700));
    let id = here.create("alice").await;
    here.reaches(&id, "make").await;
    let begun = Instant::now();
    let cancelling = here.cancel(&id).await;
    assert_eq!(cancelling.status, 200, "{cancelling:?}");
    let state = cancelling.json()["operation"]["state"].clone();
    assert!(
        [json!("cancelling"), json!("cancelled")].contains(&state),
        "{cancelling:?}"
    );
    assert_eq!(here.ended(&id).await["state"], "cancelled");
    here.clean(begun).await;
    here.there.sim.set_latency(Duration::ZERO);
    // While it boots.
    here.there.sim.mute_guests(true);
    let id = here.create("alice").await;
    here.reaches(&id, "boot").await;
    let begun = Instant::now();
    here.cancel(&id).await;
    let ended = here.ended(&id).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["reason"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    here.clean(begun).await;
    here.there.sim.mute_guests(false);
    // The name is free, and when it is over it is too late.
    let id = here.create("alice").await;
    assert_eq!(here.ended(&id).await["state"], "succeeded");
    let late = here.cancel(&id).await;
    assert_eq!(
        (late.status, late.reason().as_str()),
        (409, "already_finished")
    );
    let got = here
        .daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(got.json()["container"]["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_is_cancelled_at_once() {
    let here = Installed::new(176).await.with_alice().await;
    here.there.sim.set_latency(Duration::from_secs(3));
    let stop = here.begin("POST", "/v1/containers/alice/stop", None).await;
    here.reaches(&stop, "stop").await;
    let waits = here.begin("POST", "/v1/containers/alice/start", None).await;
    assert_eq!(here.operation(&waits).await["state"], "queued");
    here.cancel(&waits).await;
    let begun = Instant::now();
    assert_eq!(here.ended(&waits).await["state"], "cancelled");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(here.ended(&stop).await["state"], "succeeded");
    let got = here
        .daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(got.json()["container"]["state"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_wait_to_be_started_say_their_place_and_come_in_order() {
    let here = Installed::new(177).await;
    here.there.sim.set_latency(Duration::from_millis(300));
    let at_a_time = std::thread::available_parallelism().unwrap().get();
    let mut ids = Vec::new();
    for n in 0..at_a_time + 6 {
        ids.push(here.create(&format!("alice{n}")).await);
    }
    let last = ids.last().unwrap();
    let mut places = Vec::new();
    while let Some(step) = running_step(&here.operation(last).await) {
        if let Some(doing) = step["doing"].as_str() {
            places.push(doing.to_owned());
        }
        sleep(Duration::from_millis(20)).await;
    }
    places.dedup();
    let first = places.first().expect("it waited, and said so");
    assert!(
        first.starts_with("waiting for its turn to start: ") && first.ends_with(" before it"),
        "{places:?}"
    );
    let mut made = Vec::new();
    for id in &ids {
        let ended = here.ended(id).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let steps = ended["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["doing"].is_null()), "{ended}");
        let make = steps.iter().find(|step| step["name"] == "make").unwrap();
        made.push(make["endedAt"].as_str().unwrap().to_owned());
    }
    // Those of one round end in any order.
    let rounds: Vec<_> = made
        .chunks(at_a_time)
        .map(|round| round.iter().max())
        .collect();
    assert!(rounds.is_sorted(), "{made:?}");
}

/// The step that is being done; `None` once the operation is over.
fn running_step(operation: &Value) -> Option<Value> {
    let over = ["succeeded", "failed", "cancelled"];
    if over.contains(&operation["state"].as_str().unwrap()) {
        return None;
    }
    let steps = operation["steps"].as_array().unwrap();
    let running = steps.iter().find(|step| step["state"] == "running");
    Some(running.cloned().unwrap_or_default())
}
