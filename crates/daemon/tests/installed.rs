//! A daemon on an installation in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use containarium_testkit::{Simulated, TestDaemon};
use serde_json::json;

pub(crate) struct Installed {
    pub(crate) daemon: TestDaemon,
    pub(crate) there: Simulated,
}

impl Installed {
    /// `subnet` keeps tests that run side by side apart: 127.`subnet`.0.0/16.
    pub(crate) async fn new(subnet: u8) -> Self {
        let there = Simulated::on(subnet).await;
        let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
        Self { daemon, there }
    }

    /// A container of alice, who owns it.
    pub(crate) async fn with_alice(self) -> Self {
        let made =
            self.daemon
                .ask_as_admin("POST", "/v1/containers", Some(json!({"username": "alice"})));
        let made = made.await;
        assert!([201, 409].contains(&made.status), "{made:?}");
        self
    }

    /// Fails the test where anything is there but what was deleted and is kept.
    pub(crate) async fn must_be_empty(&self) {
        let list = self
            .daemon
            .ask_as_admin("GET", "/v1/containers", None)
            .await;
        assert_eq!(list.json()["totalCount"], 0, "{list:?}");
        let mut instances = self.there.incus.instances().await.unwrap();
        instances.retain(|one| !one.config.contains_key("user.containarium.deleted"));
        assert!(instances.is_empty(), "{instances:?}");
    }
}
