//! An installation on an incusd in memory, as `init` would leave one.

use std::sync::Arc;

use containarium_core::{Installation, Store};
use containarium_incus::{Client, NetworkPost, ProjectPost, StoragePoolPost};
use containarium_incus_sim::Sim;
use tempfile::TempDir;

/// A sim with a project, a pool, a bridge and two images, and a store that knows of them.
pub struct Simulated {
    /// The incusd in memory, for its faults.
    pub sim: Sim,
    /// The same, asked by its API, in the installation's project.
    pub incus: Client,
    /// The state directory.
    pub state: Arc<TempDir>,
    _socket: TempDir,
}

impl Simulated {
    /// `subnet` keeps tests that run side by side apart: 127.`subnet`.0.0/16.
    pub async fn on(subnet: u8) -> Self {
        let name = "containarium".to_owned();
        let socket = tempfile::tempdir().unwrap();
        let sim = Sim::start(socket.path()).unwrap();
        let incus = Client::unix(sim.socket());
        let config = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        let project = ProjectPost {
            name: name.clone(),
            ..ProjectPost::default()
        };
        incus.create_project(&project).await.unwrap();
        let pool = StoragePoolPost {
            name: name.clone(),
            driver: "btrfs".into(),
            config: config("size", "100GiB"),
            ..StoragePoolPost::default()
        };
        incus.create_storage_pool(&pool).await.unwrap();
        let network = NetworkPost {
            name: name.clone(),
            kind: "bridge".into(),
            config: config("ipv4.address", &format!("127.{subnet}.0.1/16")),
            ..NetworkPost::default()
        };
        incus.create_network(&network).await.unwrap();
        for kind in ["plain", "docker"] {
            sim.add_image(&format!("containarium/{kind}/local/debian/12"), &[]);
        }
        let incus = incus.in_project(&name);
        let installation = Installation {
            id: "01".into(),
            name,
            gateway: [127, subnet, 0, 1].into(),
            prefix: 16,
            uid_first: 1_000_000,
            uid_ranges: 100,
            default_image: "local:debian/12".parse().unwrap(),
        };
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        store.set_installation(&installation).await.unwrap();
        Self {
            sim,
            incus,
            state: Arc::new(state),
            _socket: socket,
        }
    }
}
