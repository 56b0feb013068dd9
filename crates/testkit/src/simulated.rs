//! An installation on an incusd in memory, and a client of its engine.

use std::sync::Arc;

use containarium_incus::Client;
use containarium_simulated::Sim;
use tempfile::TempDir;

/// A simulated installation with the images of `local:debian/12` and `13`.
pub struct Simulated {
    /// The incusd in memory, for its faults.
    pub sim: Sim,
    /// The same, asked by its API, in the installation's project.
    pub incus: Client,
    /// The state directory.
    pub state: Arc<TempDir>,
}

impl Simulated {
    /// `subnet` is where the search for a free 127.x.0.0/16 begins: tests that run side by side find
    /// theirs at the first try where it differs.
    pub async fn on(subnet: u8) -> Self {
        // The second is there to be deleted.
        let images = ["local:debian/12", "local:debian/13"].map(|image| image.parse().unwrap());
        let there = containarium_simulated::Simulated::start(&images, subnet).await;
        let containarium_simulated::Simulated {
            sim,
            installation,
            state,
        } = there.unwrap();
        Self {
            incus: Client::unix(sim.socket()).in_project(&installation.name),
            sim,
            state: Arc::new(state),
        }
    }
}
