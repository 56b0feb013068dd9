//! `containarium init`: a project, a storage pool, a bridge and two prepared images, all with the
//! installation's name. What is there already and ours is kept; what is not ours is not touched.

use std::{collections::BTreeMap, fs, path::PathBuf};

use containarium_contract::ImageRef;
use containarium_incus::{Client, Error as Incus, NetworkPost, ProjectPost, StoragePoolPost};
use ulid::Ulid;

use super::{
    Report, SetupError, While as _, base_image,
    images::images,
    subnet::{self, Subnet},
    uids,
};
use crate::{Installation, Store, StoreError, engine::INSTALL_TAG, images::Remotes};

/// The smallest pool that holds the images and a few containers.
const LEAST_POOL: u64 = 10 << 30;

/// What a person decides about an installation.
#[derive(Clone, Debug)]
pub struct Init {
    /// Its name, and the name of everything of it in Incus.
    pub name: String,
    /// Where the store is; images are built here, too.
    pub state_dir: PathBuf,
    /// Incus's unix socket.
    pub engine: PathBuf,
    /// The image of a create that names none; chosen where it is not given.
    pub image: Option<ImageRef>,
    /// Where images may come from.
    pub remotes: Remotes,
}

/// Prepares Incus, or completes what an earlier run began.
pub async fn init(ask: &Init, report: Report<'_>) -> Result<Installation, SetupError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(1..=15).contains(&ask.name.len())
        || !ask.name.starts_with(|c: char| c.is_ascii_lowercase())
        || !ask.name.chars().all(good)
    {
        return Err(SetupError::Name(ask.name.clone()));
    }
    let incus = Client::unix(&ask.engine);
    let server = incus.server().await.doing("asking Incus")?;
    if !server.is_trusted() {
        return Err(SetupError::Untrusted);
    }
    if server.environment.server_clustered {
        return Err(SetupError::Clustered);
    }
    report(&format!(
        "Incus {} answers",
        server.environment.server_version
    ));

    let store = Store::open(&ask.state_dir)?;
    let installation = match store.installation().await {
        Ok(known) if known.name == ask.name => known,
        Ok(known) => return Err(SetupError::WrongName(known.name)),
        Err(StoreError::NotInitialised) => decide(ask, &incus).await?,
        Err(other) => return Err(other.into()),
    };
    project(&incus, &installation, report).await?;
    // Known from here on, so that a run that fails below is completed by the next.
    store.set_installation(&installation).await?;
    pool(&incus, &installation, ask, report).await?;
    network(&incus, &installation, report).await?;
    let installation = Installation {
        default_image: images(&incus, &installation, ask, report).await?,
        ..installation
    };
    store.set_installation(&installation).await?;
    Ok(installation)
}

/// Chooses what is free: an id, a subnet, user ids.
async fn decide(ask: &Init, incus: &Client) -> Result<Installation, SetupError> {
    let routes = fs::read_to_string("/proc/net/route").doing("/proc/net/route")?;
    let mut used = subnet::routes(&routes);
    let networks = incus.networks().await.doing("listing networks")?;
    let addresses = networks.iter().filter_map(|n| n.config.get("ipv4.address"));
    used.extend(addresses.filter_map(|address| Subnet::parse(address)));
    let subnet = subnet::free(&used).ok_or(SetupError::NoSubnet)?;
    let subuid = fs::read_to_string("/etc/subuid").doing("/etc/subuid")?;
    let (uid_first, uid_ranges) =
        uids::window(&subuid).ok_or_else(|| SetupError::NoUids(subuid.trim().to_owned()))?;
    Ok(Installation {
        id: Ulid::generate().to_string(),
        name: ask.name.clone(),
        gateway: subnet.gateway(),
        prefix: 16,
        uid_first,
        uid_ranges,
        // Until one is prepared.
        default_image: ask
            .image
            .clone()
            .map_or_else(base_image::of_this_host, Ok)?,
        ssh_port: 22,
        simulated: false,
    })
}

/// The tag that says whose an object is, checked: ours, or nobody may touch it.
fn ours(
    kind: &'static str,
    installation: &Installation,
    config: &BTreeMap<String, String>,
) -> Result<(), SetupError> {
    let tag = config.get(INSTALL_TAG);
    if tag == Some(&installation.id) {
        return Ok(());
    }
    let owner = tag.map_or("somebody else".into(), |id| {
        format!("the installation {id}")
    });
    Err(SetupError::Foreign {
        kind,
        name: installation.name.clone(),
        owner,
    })
}

fn tagged<const N: usize>(
    installation: &Installation,
    config: [(&str, String); N],
) -> BTreeMap<String, String> {
    let tag = (INSTALL_TAG.to_owned(), installation.id.clone());
    config
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .chain([tag])
        .collect()
}

fn description(installation: &Installation) -> String {
    format!("Containarium {}", installation.name)
}

async fn project(
    incus: &Client,
    installation: &Installation,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    match incus.project(name).await {
        Ok(found) => {
            ours("project", installation, &found.value.config)?;
            report(&format!("project {name}: there"));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let yes = || "true".to_owned();
            let config = tagged(
                installation,
                [
                    ("features.images", yes()),
                    ("features.profiles", yes()),
                    ("features.storage.volumes", yes()),
                    // Bridges belong to the host, and so to the default project.
                    ("features.networks", "false".to_owned()),
                ],
            );
            let post = ProjectPost {
                name: name.clone(),
                description: description(installation),
                config,
            };
            incus
                .create_project(&post)
                .await
                .doing("making the project")?;
            report(&format!("project {name}: made"));
            Ok(())
        }
        Err(other) => Err(other).doing("looking for the project"),
    }
}

async fn pool(
    incus: &Client,
    installation: &Installation,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    match incus.storage_pool(name).await {
        Ok(found) => {
            ours("storage pool", installation, &found.config)?;
            report(&format!("storage pool {name}: there ({})", found.driver));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let size = pool_size(ask)?;
            let config = tagged(installation, [("size", format!("{size}B"))]);
            let post = StoragePoolPost {
                name: name.clone(),
                // Copies on write and holds quotas, and every kernel has it.
                driver: "btrfs".into(),
                description: description(installation),
                config,
            };
            incus
                .create_storage_pool(&post)
                .await
                .doing("making the storage pool")?;
            report(&format!(
                "storage pool {name}: made, btrfs in a sparse file of up to {} GiB (three \
                 quarters of what is free)",
                size >> 30
            ));
            Ok(())
        }
        Err(other) => Err(other).doing("looking for the storage pool"),
    }
}

/// Three quarters of what is free where Incus keeps its files: the file is sparse, and a host
/// whose own disk is full stops working.
fn pool_size(ask: &Init) -> Result<u64, SetupError> {
    let dir = ask.engine.parent().unwrap_or(&ask.engine);
    let space = rustix::fs::statvfs(dir).map_err(std::io::Error::from);
    let space = space.doing(format!("free space in {}", dir.display()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    Ok(((free / 4 * 3) >> 30 << 30).max(LEAST_POOL))
}

async fn network(
    incus: &Client,
    installation: &Installation,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    let subnet = format!("{}/{}", installation.gateway, installation.prefix);
    match incus.network(name).await {
        Ok(found) => {
            ours("network", installation, &found.config)?;
            report(&format!("bridge {name}: there ({subnet})"));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let [a, b, _, _] = installation.gateway.octets();
            let config = tagged(
                installation,
                [
                    ("ipv4.address", subnet.clone()),
                    ("ipv4.nat", "true".into()),
                    // Our containers have addresses of the lower half, from us.
                    ("ipv4.dhcp.ranges", format!("{a}.{b}.128.1-{a}.{b}.255.254")),
                    ("ipv6.address", "none".into()),
                ],
            );
            let post = NetworkPost {
                name: name.clone(),
                kind: "bridge".into(),
                description: description(installation),
                config,
            };
            incus
                .create_network(&post)
                .await
                .doing("making the bridge")?;
            report(&format!(
                "bridge {name}: made, {subnet}, free of this host's routes"
            ));
            Ok(())
        }
        Err(other) => Err(other).doing("looking for the bridge"),
    }
}
