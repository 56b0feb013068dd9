//! Making one: the sim, what a real `init` makes in Incus, and a store that knows of it.

use std::io;

use containarium_contract::ImageRef;
use containarium_core::{Installation, Store, StoreError, images::prepared_properties};
use containarium_incus::{Client, NetworkPost, ProjectPost, StoragePoolPost};
use containarium_incus_sim::Sim;
use tempfile::TempDir;
use ulid::Ulid;

/// The installation's name, and that of its project, pool and bridge.
const NAME: &str = "containarium";
/// The length of the subnet's prefix.
const PREFIX: u8 = 16;

/// What a prepared image has and the daemon looks at: where sshd reads keys.
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config.d/10-containarium.conf";
const SSHD_READS: &str = "AuthorizedKeysFile .ssh/authorized_keys /etc/containarium/ssh_keys /etc/containarium/ssh_keys.2\n";

/// A simulated installation. It, and all that was made in it, is gone when this is dropped.
pub struct Simulated {
    /// The incusd in memory, for its socket and its faults.
    pub sim: Sim,
    /// What `init` would have decided.
    pub installation: Installation,
    /// The state directory, with the store; the sim's socket is in it, too.
    pub state: TempDir,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NotSimulated {
    /// The sim does not start.
    #[error("the simulation cannot start: {0}")]
    Sim(#[from] io::Error),
    /// The sim, which is ours, does not do what it is for.
    #[error("the simulation does not work: {0}")]
    Engine(#[from] containarium_incus::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Simulated {
    /// Starts one with prepared images of these names; the first is the default one. The search for a
    /// subnet that no other has begins at 127.`subnet`. Call it within a Tokio runtime.
    pub async fn start(images: &[ImageRef], subnet: u8) -> Result<Self, NotSimulated> {
        let state = tempfile::Builder::new()
            .prefix("containarium-sim.")
            .tempdir()?;
        let sim = Sim::start_from(state.path(), subnet)?;
        furnish(&Client::unix(sim.socket()), &sim).await?;
        for image in images {
            let mut from = "base".to_owned();
            for kind in ["plain", "docker"] {
                let alias = format!("containarium/{kind}/{}/{}", image.remote(), image.alias());
                // As today's recipe would have made them.
                let made = prepared_properties(&from);
                let made: Vec<_> = made.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                from = sim.add_image(&alias, &made);
                sim.put_image_file(&alias, SSHD_CONFIG, SSHD_READS.as_bytes());
                sim.put_image_file(&alias, "/etc/containarium/ssh_keys", b"");
            }
        }
        let default_image = images.first().cloned();
        let installation = Installation {
            id: Ulid::generate().to_string(),
            name: NAME.into(),
            pool: NAME.into(),
            gateway: sim.gateway(),
            prefix: PREFIX,
            uid_first: 1_000_000,
            uid_ranges: 1000,
            default_image: default_image
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no image"))?,
            ssh_port: Sim::SSH_PORT,
            simulated: true,
        };
        let store = Store::make(state.path())?;
        store.set_installation(&installation).await?;
        Ok(Self {
            sim,
            installation,
            state,
        })
    }
}

/// A project, a pool and a bridge.
async fn furnish(incus: &Client, sim: &Sim) -> Result<(), containarium_incus::Error> {
    let config = |key: &str, value: String| [(key.to_owned(), value)].into();
    let project = ProjectPost {
        name: NAME.into(),
        ..ProjectPost::default()
    };
    incus.create_project(&project).await?;
    let pool = StoragePoolPost {
        name: NAME.into(),
        driver: "btrfs".into(),
        config: config("size", "100GiB".into()),
        ..StoragePoolPost::default()
    };
    incus.create_storage_pool(&pool).await?;
    let network = NetworkPost {
        name: NAME.into(),
        kind: "bridge".into(),
        config: config("ipv4.address", format!("{}/{PREFIX}", sim.gateway())),
        ..NetworkPost::default()
    };
    incus.create_network(&network).await
}
