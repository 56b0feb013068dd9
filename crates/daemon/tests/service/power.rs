//! Starting and stopping.

use std::time::Duration;

use containarium_incus_sim::{Fault, On};

use crate::installed::Installed;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_already_is_said_and_no_failure() {
    let here = Installed::new(227).await.with_alice().await;
    for (verb, state) in [
        ("start", "running"),
        ("stop", "stopped"),
        ("stop", "stopped"),
    ] {
        let path = format!("/v1/containers/alice/{verb}");
        let answer = here.daemon.ask_as_admin("POST", &path, None).await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}");
        assert_eq!(answer.json()["container"]["state"], state);
    }
    let again = here
        .daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(
        again.json()["message"],
        "alice-container is stopped already."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_deleted_only_with_force() {
    let here = Installed::new(228).await.with_alice().await;
    let path = "/v1/containers/alice";
    let refused = here.daemon.ask_as_admin("DELETE", path, None).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (409, "not_stopped"),
        "{refused:?}"
    );
    assert_eq!(
        refused.json()["hint"],
        "DELETE /v1/containers/alice?force=true"
    );
    let got = here.daemon.ask_as_admin("GET", path, None).await;
    assert_eq!(got.json()["container"]["state"], "running");
    let forced = format!("{path}?force=true");
    let deleted = here.daemon.ask_as_admin("DELETE", &forced, None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    here.must_be_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why_and_can_be_tried_again() {
    let here = Installed::new(229).await.with_alice().await;
    here.daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    let text = "Failed to run: forkstart: exit status 1".to_owned();
    here.there
        .sim
        .fail_next(On::ChangeState, Fault::FailStart { code: 500, text });
    let start = || {
        here.daemon
            .ask_as_admin("POST", "/v1/containers/alice/start", None)
    };
    let failed = start().await;
    assert_eq!(failed.status, 500, "{failed:?}");
    assert!(failed.body.contains("forkstart"), "{failed:?}");
    let again = start().await;
    assert_eq!(again.json()["container"]["state"], "running", "{again:?}");
}

/// All that the engine tells of a create can come before the answer that names its operation.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_comes_last_is_a_create() {
    let here = Installed::new(230).await;
    here.there.sim.set_latency(Duration::from_millis(20));
    here.there.sim.fail_next(On::Create, Fault::AnswerLast);
    let here = here.with_alice().await;
    let got = here
        .daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(got.json()["container"]["state"], "running", "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_late_says_who_asked_for_it() {
    let here = Installed::new(180).await.with_alice().await;
    for _ in ["first try", "second"] {
        let text = "context deadline exceeded".into();
        let unheard = Fault::FailLate { code: 500, text };
        here.there.sim.fail_next(On::ChangeState, unheard);
    }
    let stop = "/v1/containers/alice/stop";
    let late = here.daemon.ask_as_admin("POST", stop, None).await;
    assert_eq!(late.status, 504, "{late:?}");
    let operation = late.header("containarium-operation").unwrap();
    // It takes its time, and nobody else asked for that.
    let [instance] = &here.there.incus.instances().await.unwrap()[..] else {
        panic!("one container")
    };
    let sim = &here.there.sim;
    sim.kill_guest("containarium", &instance.name, "");
    containarium_testkit::wait_for(SOON, "it says who asked", async || {
        let path = "/v1/containers/alice";
        let got = here.daemon.ask_as_admin("GET", path, None).await.json();
        let exit = &got["container"]["lastExit"];
        if exit["reason"] == "requested" && exit["operation"] == operation {
            Ok(())
        } else {
            Err(got)
        }
    })
    .await;
}
