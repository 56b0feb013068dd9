//! Taking an installation away: every container, image and object of it in Incus. Not the state
//! directory, which is the caller's.

use containarium_incus::{Client, Error as Incus};

use super::{Report, SetupError, While as _};
use crate::{Installation, engine::INSTALL_TAG, host_ports};

/// Removes everything that carries the installation's tag. `typed` must be its name.
pub async fn purge(
    incus: &Client,
    installation: &Installation,
    typed: &str,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.name;
    if typed != name {
        return Err(SetupError::WrongName(name.clone()));
    }
    let ours = |config: &std::collections::BTreeMap<String, String>| {
        config.get(INSTALL_TAG) == Some(&installation.id)
    };
    match incus.project(name).await {
        Ok(found) if ours(&found.value.config) => {
            incus
                .delete_project(name, true)
                .await
                .doing("removing the containers and images")?;
            report("containers, images and project: removed");
        }
        Ok(_) | Err(Incus::NotFound(_)) => {}
        Err(other) => return Err(other).doing("looking for the project"),
    }
    // It matches nothing once the bridge is gone, so that it stays is no reason to stop.
    if let Err(why) = host_ports::open(name).await {
        report(&format!("the rules for this host's own ports stay: {why}"));
    }
    match incus.network(name).await {
        Ok(found) if ours(&found.config) => {
            incus
                .delete_network(name)
                .await
                .doing("removing the bridge")?;
            report("bridge: removed");
        }
        Ok(_) | Err(Incus::NotFound(_)) => {}
        Err(other) => return Err(other).doing("looking for the bridge"),
    }
    match incus.storage_pool(&installation.pool).await {
        Ok(found) if ours(&found.config) => {
            incus
                .delete_storage_pool(&installation.pool)
                .await
                .doing("removing the storage pool")?;
            report("storage pool: removed");
        }
        Ok(_) => report(&format!(
            "storage pool {}: it was there before, and stays",
            installation.pool
        )),
        Err(Incus::NotFound(_)) => {}
        Err(other) => return Err(other).doing("looking for the storage pool"),
    }
    Ok(())
}
