//! An installation whose store is lost, taken up again from what Incus has of it. Its containers come
//! back with `containarium admin adopt --all`, once a daemon runs.
//!
//! What cannot be known here: a daemon on another machine, which reaches this Incus over the network,
//! and one whose state directory this machine does not see. Two daemons of one installation give one
//! address twice; so nothing is taken up unless a person says so.

use std::{fs, path::Path};

use containarium_incus::{Client, Error as Incus, Instance, Project};

use super::{Init, Report, SetupError, Subnet, While as _, base_image, pool::PoolChoice, uids};
use crate::{
    Installation,
    engine::INSTALL_TAG,
    mark::{Mark, is_served},
};

/// The installation that has `ask`'s name on this Incus, though no store here knows of one; `None`
/// where there is none.
pub(super) async fn find(
    ask: &Init,
    incus: &Client,
    report: Report<'_>,
) -> Result<Option<Installation>, SetupError> {
    let project = match incus.project(&ask.name).await {
        Ok(found) => found.value,
        Err(Incus::NotFound(_)) if ask.recover => {
            return Err(SetupError::NothingToRecover(ask.name.clone()));
        }
        Err(Incus::NotFound(_)) => return Ok(None),
        Err(other) => return Err(other).doing("looking for the project"),
    };
    // Somebody else's; told as such by whoever wants to use it.
    let Some(mark) = Mark::of(&project) else {
        return Ok(None);
    };
    let elsewhere = mark.elsewhere(&ask.state_dir).await;
    match &elsewhere {
        Some(dir) if is_served(dir) => {
            return Err(SetupError::Served {
                name: ask.name.clone(),
                state_dir: dir.clone(),
            });
        }
        Some(_) | None => {}
    }
    if !ask.recover {
        return Err(SetupError::Lost {
            name: ask.name.clone(),
            id: mark.id,
            state_dir: ask.state_dir.clone(),
            elsewhere,
        });
    }
    if let Some(dir) = elsewhere {
        report(&format!(
            "WARNING: {} has this installation, too; no daemon may be started with it any more",
            dir.display()
        ));
    }
    let found = match mark.installation {
        Some(known) => known,
        None => rebuilt(ask, incus, &project, mark.id).await?,
    };
    report(&format!(
        "the installation {} ({}) is taken up; its containers come back with `containarium admin \
         adopt --all` once the daemon runs",
        found.name, found.id
    ));
    Ok(Some(found))
}

/// What an older version wrote down nowhere but in its store, from what it made.
async fn rebuilt(
    ask: &Init,
    incus: &Client,
    project: &Project,
    id: String,
) -> Result<Installation, SetupError> {
    let name = &project.name;
    let lost = |what, why: String| SetupError::Unrecoverable {
        name: name.clone(),
        what,
        why,
    };
    let ours =
        |instance: Instance| (instance.config.get(INSTALL_TAG) == Some(&id)).then_some(instance);
    let ours = incus.in_project(name).each_instance(ours).await;
    let ours = ours.doing("listing instances")?;

    let bridge = match incus.network(name).await {
        Ok(bridge) if bridge.config.get(INSTALL_TAG) == Some(&id) => bridge,
        Ok(_) => return Err(lost("subnet", format!("the bridge {name} is not its"))),
        Err(Incus::NotFound(_)) => return Err(lost("subnet", format!("no bridge {name}"))),
        Err(other) => return Err(other).doing("looking for the bridge"),
    };
    let address = bridge.config.get("ipv4.address");
    let subnet = address.and_then(|text| Subnet::parse(text));
    let subnet = subnet.ok_or_else(|| lost("subnet", format!("the bridge has {address:?}")))?;

    let pools = incus.storage_pools().await.doing("listing storage pools")?;
    let made = pools
        .iter()
        .find(|pool| pool.name == *name && pool.config.get(INSTALL_TAG) == Some(&id));
    let pool = match (made, ours.iter().find_map(pool_of), &ask.pool) {
        (Some(made), _, _) => made.name.clone(),
        (None, Some(used), _) => used,
        (None, None, PoolChoice::Existing(chosen)) => chosen.clone(),
        (None, None, PoolChoice::File(_) | PoolChoice::Device(_)) => {
            return Err(lost("storage pool", "name it with --pool".into()));
        }
    };

    let subuid = fs::read_to_string("/etc/subuid").doing("/etc/subuid")?;
    let (uid_first, uid_ranges) =
        uids::window(&subuid, &[]).ok_or_else(|| SetupError::NoUids(subuid.trim().to_owned()))?;
    let window = uids::ids(uid_first, uid_ranges);
    let outside = ours.iter().filter_map(uids::isolated);
    let mut outside = outside.filter(|ids| ids.start < window.start || window.end < ids.end);
    if let Some(ids) = outside.next() {
        let why = format!(
            "/etc/subuid gives {} to {} now, and a container has {}",
            window.start, window.end, ids.start
        );
        return Err(lost("user ids", why));
    }
    Ok(Installation {
        id,
        name: name.clone(),
        pool,
        gateway: subnet.gateway(),
        prefix: subnet.prefix(),
        uid_first,
        uid_ranges,
        default_image: ask
            .image
            .clone()
            .map_or_else(base_image::of_this_host, Ok)?,
        ssh_port: 22,
        simulated: false,
    })
}

fn pool_of(instance: &Instance) -> Option<String> {
    instance.devices.get("root")?.get("pool").cloned()
}

/// The command that takes up the installation `name`.
pub(super) fn command(name: &str, state_dir: &Path) -> String {
    format!(
        "containarium init --name {name} --state-dir {} --recover",
        state_dir.display()
    )
}
