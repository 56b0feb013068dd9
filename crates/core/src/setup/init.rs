//! `containarium init`: a project, a storage pool, a bridge and two prepared images, all with the
//! installation's name. What is there already and ours is kept; what is not ours is not touched.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use containarium_contract::ImageRef;
use containarium_incus::{Client, Error as Incus, NetworkPost, ProjectPost};
use ulid::Ulid;

use super::{
    Report, SetupError, While as _, base_image,
    driver::Driver,
    images::images,
    pool::{self, PoolChoice},
    proof, recover, routes,
    subnet::{self, Subnet},
    uids,
};
use crate::{
    Harm, Installation, Store, StoreError, Unsound, engine::INSTALL_TAG, host_ports,
    images::Remotes, mark,
};

/// What a person decides about an installation.
#[derive(Clone, Debug)]
pub struct Init {
    /// Its name, and the name of everything of it in Incus.
    pub name: String,
    /// Where the store is; images are built here, too.
    pub state_dir: PathBuf,
    /// Incus's unix socket.
    pub engine: PathBuf,
    /// Where containers are stored.
    pub pool: PoolChoice,
    /// What with, where a person chose it; else the best that can be had.
    pub driver: Option<Driver>,
    /// Their network, where a person chose one.
    pub subnet: Option<Subnet>,
    /// The image of a create that names none; chosen where it is not given.
    pub image: Option<ImageRef>,
    /// Where images may come from.
    pub remotes: Remotes,
    /// Whether an installation of that name, which no store here knows, is to be taken up.
    pub recover: bool,
}

/// Prepares Incus, or completes what an earlier run began.
pub async fn init(ask: &Init, report: Report<'_>) -> Result<Installation, SetupError> {
    let installation = lay_out(ask, report).await?;
    let incus = Client::unix(&ask.engine);
    let installation = Installation {
        default_image: images(&incus, &installation, ask, report).await?,
        ..installation
    };
    let store = Store::open(&ask.state_dir)?;
    store.set_installation(&installation).await?;
    let marked = mark::renew(&incus, &installation, &ask.state_dir).await;
    marked.doing("writing into the project what it is")?;
    proof::prove(&incus, &installation, &store, ask, report).await?;
    Ok(installation)
}

/// All of it but the images, which take a minute: project, storage pool and bridge.
pub async fn lay_out(ask: &Init, report: Report<'_>) -> Result<Installation, SetupError> {
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

    // What two choose at a time must not be the same.
    let _turn = turn(&ask.engine).await?;
    let installation = match known(ask).await? {
        Some(mut known) if known.name == ask.name => {
            // Where an earlier run could not make one, what it had chosen binds nobody.
            if known.pool == known.name && pool::is_missing(&incus, &known.pool).await? {
                pool::check(ask, &incus).await?;
                ask.pool.pool(&ask.name).clone_into(&mut known.pool);
            }
            known
        }
        Some(known) => return Err(SetupError::WrongName(known.name)),
        None => match recover::find(ask, &incus, report).await? {
            Some(found) => found,
            None => {
                pool::check(ask, &incus).await?;
                let chosen = decide(ask, &incus).await?;
                report(&format!(
                    "user ids: from {} up, room for {} containers (of root's range in /etc/subuid, apart \
                 from what others on this Incus have; the lowest are Incus's own)",
                    chosen.uid_first, chosen.uid_ranges
                ));
                chosen
            }
        },
    };
    fixed(ask, &installation)?;
    let store = Store::make(&ask.state_dir)?;
    project(&incus, &installation, &ask.state_dir, report).await?;
    // Known from here on, so that a run that fails below is completed by the next.
    store.set_installation(&installation).await?;
    pool::make(&incus, &installation, ask, report).await?;
    network(&incus, &installation, ask, report).await?;
    match host_ports::close(&installation).await {
        Ok(true) => report("this host's own ports: closed to containers, but for names"),
        Ok(false) => {}
        Err(why) => report(&format!(
            "WARNING: this host's own ports stay open to containers: {why}"
        )),
    }
    Ok(installation)
}

/// What the store in the state directory knows; `None` where there is none yet, or none any more.
async fn known(ask: &Init) -> Result<Option<Installation>, SetupError> {
    let known = match Store::open(&ask.state_dir) {
        Ok(store) => store.installation().await,
        Err(other) => Err(other),
    };
    match known {
        Ok(known) => Ok(Some(known)),
        Err(
            StoreError::NotInitialised
            | StoreError::Unsound(Unsound {
                harm: Harm::Gone(_),
                ..
            }),
        ) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The right to choose on this Incus, until it is dropped; nothing where this user may use Incus and
/// not look into its directory.
async fn turn(engine: &Path) -> Result<Option<fs::File>, SetupError> {
    let dir = engine.parent().unwrap_or(engine).to_owned();
    let locked = tokio::task::spawn_blocking(move || {
        let dir = match fs::File::open(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
            opened => opened?,
        };
        rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(Some(dir))
    });
    let locked = locked.await.map_err(std::io::Error::other).flatten();
    locked.doing("waiting for another init")
}

/// What was chosen once stays: containers live in that pool and have addresses of that subnet.
fn fixed(ask: &Init, known: &Installation) -> Result<(), SetupError> {
    let here = Subnet::parse(&format!("{}/{}", known.gateway, known.prefix));
    if let Some(asked) = ask.subnet
        && here != Some(asked)
    {
        return Err(SetupError::Fixed {
            what: "--subnet",
            asked: asked.to_string(),
            is: here.map(|subnet| subnet.to_string()).unwrap_or_default(),
        });
    }
    if let PoolChoice::Existing(asked) = &ask.pool
        && *asked != known.pool
    {
        return Err(SetupError::Fixed {
            what: "--pool",
            asked: asked.clone(),
            is: known.pool.clone(),
        });
    }
    Ok(())
}

/// Chooses what is free: an id, a subnet, user ids.
async fn decide(ask: &Init, incus: &Client) -> Result<Installation, SetupError> {
    let subnet = subnet_of(ask, incus).await?;
    let subuid = fs::read_to_string("/etc/subuid").doing("/etc/subuid")?;
    let used = uids::used(incus, &subuid).await?;
    let (uid_first, uid_ranges) =
        uids::window(&subuid, &used).ok_or_else(|| SetupError::NoUids(subuid.trim().to_owned()))?;
    Ok(Installation {
        id: Ulid::generate().to_string(),
        name: ask.name.clone(),
        pool: ask.pool.pool(&ask.name).to_owned(),
        gateway: subnet.gateway(),
        prefix: subnet.prefix(),
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

/// The subnet that was chosen, if nothing else has it; else a free one.
async fn subnet_of(ask: &Init, incus: &Client) -> Result<Subnet, SetupError> {
    let routes = routes::of_this_host().await.map_err(SetupError::NoRoutes)?;
    let networks = incus.networks().await.doing("listing networks")?;
    let mut used: Vec<(Subnet, String)> = routes
        .into_iter()
        .map(|route| {
            (
                route.to,
                format!("the route {} via {}", route.to, route.device),
            )
        })
        .collect();
    used.extend(networks.iter().filter_map(|network| {
        let subnet = Subnet::parse(network.config.get("ipv4.address")?)?;
        Some((subnet, format!("Incus's network {}", network.name)))
    }));
    match ask.subnet {
        Some(asked) => match used.into_iter().find(|(used, _)| used.overlaps(asked)) {
            Some((_, by)) => Err(SetupError::SubnetTaken { asked, by }),
            None => Ok(asked),
        },
        None => {
            let used: Vec<Subnet> = used.into_iter().map(|(subnet, _)| subnet).collect();
            subnet::free(&used).ok_or(SetupError::NoSubnet)
        }
    }
}

/// The tag that says whose an object is, checked: ours, or nobody may touch it.
pub(super) fn ours(
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

pub(super) fn tagged<const N: usize>(
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

pub(super) fn description(installation: &Installation) -> String {
    format!("Containarium {}", installation.name)
}

async fn project(
    incus: &Client,
    installation: &Installation,
    state_dir: &Path,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    match incus.project(name).await {
        Ok(found) => {
            ours("project", installation, &found.value.config)?;
            let marked = mark::renew(incus, installation, state_dir).await;
            marked.doing("writing into the project what it is")?;
            report(&format!("project {name}: there"));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let yes = || "true".to_owned();
            let mut config = tagged(
                installation,
                [
                    ("features.images", yes()),
                    ("features.profiles", yes()),
                    ("features.storage.volumes", yes()),
                    // Bridges belong to the host, and so to the default project.
                    ("features.networks", "false".to_owned()),
                ],
            );
            // At once, so that another init sees which user ids are taken.
            config.extend(mark::tags(installation, state_dir));
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

async fn network(
    incus: &Client,
    installation: &Installation,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    let subnet = format!("{}/{}", installation.gateway, installation.prefix);
    let range = Subnet::parse(&subnet).map(Subnet::dhcp_range);
    match incus.network(name).await {
        Ok(found) => {
            ours("network", installation, &found.config)?;
            report(&format!("bridge {name}: there ({subnet})"));
            Ok(())
        }
        Err(Incus::NotFound(_)) => {
            let mut config = tagged(
                installation,
                [
                    ("ipv4.address", subnet.clone()),
                    ("ipv4.nat", "true".into()),
                    ("ipv4.dhcp.ranges", range.unwrap_or_default()),
                    ("ipv6.address", "none".into()),
                ],
            );
            // Larger packets than the uplink takes make downloads hang where nobody says so.
            let narrow = routes::uplink().and_then(|link| routes::mtu(&link));
            if let Some(mtu) = narrow.filter(|mtu| *mtu < 1500) {
                config.insert("bridge.mtu".into(), mtu.to_string());
            }
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
            let why = match ask.subnet {
                Some(_) => "which you chose; it is",
                None => "the first /16 from 10.64.0.0 that is",
            };
            report(&format!(
                "bridge {name}: made, {subnet}, {why} free of this host's routes and networks"
            ));
            Ok(())
        }
        Err(other) => Err(other).doing("looking for the bridge"),
    }
}
