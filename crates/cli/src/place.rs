//! Where an installation is: its state directory and its Incus, as the command line says.

use std::path::PathBuf;

use clap::Args;
use containarium_core::secret;

use crate::engine_socket::EngineSocket;

/// Where an installation remembers.
#[derive(Clone, Debug, Args)]
pub(crate) struct StateDir {
    /// Where the daemon remembers
    #[arg(
        long,
        value_name = "DIR",
        env = "CONTAINARIUM_STATE_DIR",
        default_value = secret::STATE_DIR
    )]
    pub(crate) state_dir: PathBuf,
}

/// Where an installation is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) state: StateDir,
    /// Where Incus listens: auto, or unix:PATH
    #[arg(long, env = "CONTAINARIUM_ENGINE", default_value = "auto")]
    pub(crate) engine: EngineSocket,
}
