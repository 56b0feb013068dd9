//! `containarium init`: its options. What it does is core's.

use std::{
    io::{self, Write as _},
    time::Instant,
};

use clap::Args;
use containarium_core::{
    secret,
    setup::{self, SetupError},
};

use crate::{
    failure::{Exit, Failure},
    place::Place,
};

/// Prepare this server: Incus's project, storage, bridge and images
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The installation's name, and that of everything of it in Incus
    #[arg(long, env = "CONTAINARIUM_NAME", default_value = "containarium")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl Init {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ask = setup::Init {
            name: self.name,
            state_dir: self.place.state.state_dir,
            engine: self.place.engine.path(),
        };
        let begun = Instant::now();
        let state_dir = ask.state_dir.clone();
        let report = |line: &str| {
            let _ = writeln!(
                io::stdout(),
                "{:6.1} s  {line}",
                begun.elapsed().as_secs_f64()
            );
        };
        let installation = setup::init(&ask, &report).await.map_err(refused)?;
        secret::make_for_machine(&state_dir)
            .map_err(|e| Failure::new(Exit::Other, e.to_string()))?;
        report(&format!(
            "{} is ready; containers are made from {}",
            installation.name, installation.default_image
        ));
        Ok(())
    }
}

/// What stops a setup is mostly something that must be there first.
pub(crate) fn refused(error: SetupError) -> Failure {
    let exit = match &error {
        SetupError::Engine { .. }
        | SetupError::Untrusted
        | SetupError::Clustered
        | SetupError::NoSubnet
        | SetupError::NoUids(_)
        | SetupError::Host { .. } => Exit::Missing,
        SetupError::Name(_) | SetupError::WrongName(_) => Exit::Usage,
        SetupError::Foreign { .. } => Exit::Conflict,
        SetupError::Command { .. } | SetupError::Store(_) => Exit::Other,
    };
    Failure::new(exit, error.to_string())
}
