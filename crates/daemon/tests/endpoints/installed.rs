//! A daemon on an installation in memory.

use containarium_core::{Installation, Store};
use containarium_incus::{Client, NetworkPost, ProjectPost, StoragePoolPost};
use containarium_incus_sim::Sim;
use containarium_testkit::TestDaemon;
use serde_json::json;
use tempfile::TempDir;

const NAME: &str = "containarium";

pub(crate) struct Installed {
    pub(crate) daemon: TestDaemon,
    sim: Sim,
    _dir: TempDir,
}

impl Installed {
    /// `subnet` keeps tests that run side by side apart: 127.`subnet`.0.0/16.
    pub(crate) async fn new(subnet: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(dir.path()).unwrap();
        let incus = Client::unix(sim.socket());
        let config = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        let project = ProjectPost {
            name: NAME.into(),
            ..ProjectPost::default()
        };
        incus.create_project(&project).await.unwrap();
        let pool = StoragePoolPost {
            name: NAME.into(),
            driver: "btrfs".into(),
            config: config("size", "100GiB"),
            ..StoragePoolPost::default()
        };
        incus.create_storage_pool(&pool).await.unwrap();
        let network = NetworkPost {
            name: NAME.into(),
            kind: "bridge".into(),
            config: config("ipv4.address", &format!("127.{subnet}.0.1/16")),
            ..NetworkPost::default()
        };
        incus.create_network(&network).await.unwrap();
        for kind in ["plain", "docker"] {
            sim.add_image(&format!("containarium/{kind}/local/debian/12"), &[]);
        }
        let state = tempfile::tempdir().unwrap();
        let installation = Installation {
            id: "01".into(),
            name: NAME.into(),
            gateway: [127, subnet, 0, 1].into(),
            prefix: 16,
            uid_first: 1_000_000,
            uid_ranges: 100,
            default_image: "local:debian/12".parse().unwrap(),
        };
        Store::open(state.path())
            .unwrap()
            .set_installation(&installation)
            .await
            .unwrap();
        let daemon = TestDaemon::with(state, sim.socket()).await;
        Self {
            daemon,
            sim,
            _dir: dir,
        }
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

    /// Fails the test where anything was made.
    pub(crate) async fn must_be_empty(&self) {
        let list = self
            .daemon
            .ask_as_admin("GET", "/v1/containers", None)
            .await;
        assert_eq!(list.json()["totalCount"], 0, "{list:?}");
        let incus = Client::unix(self.sim.socket()).in_project(NAME);
        assert!(incus.instances().await.unwrap().is_empty());
    }
}
