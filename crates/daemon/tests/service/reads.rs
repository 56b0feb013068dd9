//! Reading: what a caller has already is not sent again, and nobody waits for the engine.

use std::time::{Duration, Instant};

use containarium_core::Role;
use containarium_testkit::{Answer, wait_for};
use serde_json::json;

use crate::installed::Installed;

const SOON: Duration = Duration::from_secs(20);
const LIST: &str = "/v1/containers";
const ALICE: &str = "/v1/containers/alice";

impl Installed {
    /// Asks for what `tag` may be of; without one, for all of it.
    async fn read(&self, path: &str, token: &str, tag: Option<&str>) -> Answer {
        let headers: Vec<_> = tag.into_iter().map(|tag| ("if-none-match", tag)).collect();
        self.daemon
            .ask_with("GET", path, Some(token), None, &headers)
            .await
    }

    /// The tag of what is there now, once what goes on behind an answer has come to rest.
    async fn settled(&self, path: &str, token: &str) -> String {
        wait_for(SOON, "it is the same twice", async || {
            let got = self.read(path, token, None).await;
            assert_eq!(got.status, 200, "{got:?}");
            assert_eq!(got.header("cache-control"), Some("private, no-cache"));
            let tag = got.header("etag").unwrap().to_owned();
            // What is measured comes a little later.
            if path == ALICE && got.json()["metrics"].is_null() {
                return Err(got);
            }
            let again = self.read(path, token, Some(&tag)).await;
            if again.status != 304 {
                return Err(again);
            }
            assert_eq!(
                (again.body.as_str(), again.header("etag")),
                ("", Some(&*tag))
            );
            assert_eq!(again.header("content-type"), None);
            Ok(tag)
        })
        .await
    }

    /// What came in the place of what `tag` is of; fails the test where that is still so.
    async fn changed(&self, path: &str, token: &str, tag: &str) -> Answer {
        let got = self.read(path, token, Some(tag)).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_ne!(got.header("etag"), Some(tag));
        got
    }

    async fn post(&self, path: &str, body: Option<serde_json::Value>) {
        let done = self.daemon.ask_as_admin("POST", path, body).await;
        assert!([200, 201].contains(&done.status), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_has_is_sent_again_when_something_he_sees_has_changed() {
    let here = Installed::new(245).await;
    let alice = here.daemon.token("alice", &[Role::User]);
    let admin = here.daemon.admin_token();
    let none = here.settled(LIST, &alice).await;
    here.post(LIST, Some(json!({"username": "alice"}))).await;
    let created = here.changed(LIST, &alice, &none).await;
    assert_eq!(created.json()["totalCount"], 1);

    // What others have is not his to see, and their tags are nothing to him.
    let (his, all) = (
        here.settled(LIST, &alice).await,
        here.settled(LIST, &admin).await,
    );
    assert_ne!(his, none);
    here.post(LIST, Some(json!({"username": "bob"}))).await;
    let still = here.read(LIST, &alice, Some(&his)).await;
    assert_eq!(still.status, 304, "{still:?}");
    let more = here.changed(LIST, &admin, &all).await;
    assert_eq!(more.json()["totalCount"], 2);
    let more = here.settled(LIST, &admin).await;
    here.changed(LIST, &alice, &more).await;
    here.changed(&format!("{LIST}?limit=1"), &admin, &more)
        .await;

    let one = here.settled(ALICE, &alice).await;
    here.post("/v1/containers/alice/stop", None).await;
    for (path, tag) in [(LIST, &his), (ALICE, &one)] {
        let stopped = here.changed(path, &alice, tag).await;
        assert!(stopped.body.contains(r#""state":"stopped""#), "{stopped:?}");
    }

    // Past us.
    here.post("/v1/containers/alice/start", None).await;
    let (his, one) = (
        here.settled(LIST, &alice).await,
        here.settled(ALICE, &alice).await,
    );
    let instances = here.there.incus.instances().await.unwrap();
    for instance in instances {
        here.there
            .sim
            .kill_guest("containarium", &instance.name, "init died");
    }
    wait_for(SOON, "it is seen to have died", async || {
        let got = here.read(LIST, &alice, Some(&his)).await;
        let dead = got.status == 200 && !got.body.contains(r#""state":"running""#);
        if dead { Ok(()) } else { Err(got) }
    })
    .await;
    here.changed(ALICE, &alice, &one).await;

    // A refusal has no tag, whatever the caller has.
    let missing = here.read("/v1/containers/carol", &alice, Some("*")).await;
    assert_eq!((missing.status, missing.header("etag")), (404, None));
    let his = here.settled(LIST, &alice).await;
    here.there.sim.hang(true);
    wait_for(SOON, "the engine is seen to be away", async || {
        let got = here.read(LIST, &alice, Some(&his)).await;
        let away = got.status == 200 && got.json()["engine"] == "unreachable";
        if away { Ok(()) } else { Err(got) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_uses_is_told_from_memory_and_measured_behind_the_answer() {
    let here = Installed::new(246).await.with_alice().await;
    here.post("/v1/containers/alice/stop", None).await;
    let Installed { daemon, there } = here;
    let daemon = daemon.restarted().await;
    // Less than makes the engine pass for gone.
    let latency = Duration::from_millis(1500);
    there.sim.set_latency(latency);
    let begun = Instant::now();
    let first = daemon.ask_as_admin("GET", ALICE, None).await;
    assert!(begun.elapsed() < latency, "{:?}", begun.elapsed());
    assert_eq!(first.json()["container"]["state"], "stopped", "{first:?}");
    assert!(first.json()["metrics"].is_null(), "{first:?}");
    wait_for(SOON, "it is measured", async || {
        let got = daemon.ask_as_admin("GET", ALICE, None).await;
        if got.json()["metrics"].is_object() {
            Ok(())
        } else {
            Err(got)
        }
    })
    .await;
}
