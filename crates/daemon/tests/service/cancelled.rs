//! What is so after an operation was cancelled in its middle: as it was before, or as it says.

use std::time::Duration;

use containarium_incus::{Instance, StateChange, StatusCode};
use serde_json::Value;

use crate::installed::Installed;

const SOON: Duration = Duration::from_secs(20);

impl Installed {
    async fn instance(&self) -> Instance {
        let all = self.there.incus.instances().await.unwrap();
        let [one] = &all[..] else { panic!("{all:?}") };
        one.clone()
    }

    /// Does something to the one container, past the daemon.
    async fn past_us(&self, change: StateChange) {
        let name = self.instance().await.name;
        let begun = self.there.incus.change_state(&name, &change).await.unwrap();
        self.there.incus.wait(&begun, SOON).await.unwrap();
    }

    async fn ask(&self, method: &str, path: &str) -> Value {
        let answer = self.daemon.ask_as_admin(method, path, None).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }

    async fn cancelled(&self, id: &str) -> Value {
        self.cancel(id).await;
        let ended = self.ended(id).await;
        assert_eq!(ended["state"], "cancelled", "{ended}");
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_takes_back_what_it_did_and_nothing_else() {
    let here = Installed::new(178).await.with_alice().await;
    let start = "/v1/containers/alice/start";
    here.ask("POST", "/v1/containers/alice/stop").await;
    here.there.sim.mute_guests(true);
    for (before, change) in [
        (StatusCode::STOPPED, None),
        // Somebody's work, although no login to it works.
        (StatusCode::RUNNING, Some(StateChange::start())),
        (StatusCode::FROZEN, Some(StateChange::freeze())),
    ] {
        if let Some(change) = change {
            here.past_us(change).await;
        }
        let id = here.begin("POST", start, None).await;
        here.reaches(&id, "boot").await;
        here.cancelled(&id).await;
        assert_eq!(here.instance().await.status_code, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undelete_leaves_it_deleted_as_it_was() {
    let here = Installed::new(179).await.with_alice().await;
    here.ask("DELETE", "/v1/containers/alice?force=true").await;
    let deleted = "/v1/containers?state=deleted";
    let kept = here.ask("GET", deleted).await;
    here.there.sim.mute_guests(true);
    let undelete = "/v1/containers/alice/undelete";
    let id = here.begin("POST", undelete, None).await;
    here.reaches(&id, "boot").await;
    here.cancelled(&id).await;
    let still = here.ask("GET", deleted).await;
    let until = |list: &Value| list["containers"][0]["deletedUntil"].clone();
    assert!(until(&kept).is_string(), "{kept}");
    assert_eq!(until(&still), until(&kept));
    assert_eq!(here.ask("GET", "/v1/containers").await["totalCount"], 0);
    here.there.sim.mute_guests(false);
    let back = here.ask("POST", undelete).await;
    assert_eq!(back["container"]["state"], "running", "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_was_begun_is_done() {
    for path in [
        "/v1/containers/alice?force=true",
        "/v1/containers/alice?force=true&purge=true",
    ] {
        let here = Installed::new(181).await.with_alice().await;
        here.there.sim.set_latency(Duration::from_millis(500));
        let id = here.begin("DELETE", path, None).await;
        here.reaches(&id, "stop").await;
        here.cancel(&id).await;
        let ended = here.ended(&id).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(here.ask("GET", "/v1/containers").await["totalCount"], 0);
    }
}
