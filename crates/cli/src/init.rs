//! `containarium init`: its options. What it does is core's.

use std::{
    io::{self, Write as _},
    time::Instant,
};

use clap::Args;
use containarium_contract::ImageRef;
use containarium_core::{
    images::ImageError,
    secret,
    setup::{self, SetupError},
};

use crate::{
    failure::{Exit, Failure},
    image_remotes::ImageRemotes,
    place::Place,
};

/// Prepare this server: Incus's project, storage, bridge and images
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The installation's name, and that of everything of it in Incus
    #[arg(long, env = "CONTAINARIUM_NAME", default_value = "containarium")]
    pub(crate) name: String,
    /// What a create without an image gets, and what is prepared now [default: that of the last
    /// time; at first images:ubuntu/24.04 where its server can be reached, else this host's own
    /// release, built from its package mirror]
    #[arg(long, env = "CONTAINARIUM_IMAGE")]
    pub(crate) image: Option<ImageRef>,
    #[command(flatten)]
    pub(crate) image_remotes: ImageRemotes,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl Init {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ask = setup::Init {
            name: self.name,
            state_dir: self.place.state.state_dir,
            engine: self.place.engine.path(),
            image: self.image,
            remotes: self.image_remotes.into(),
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
        SetupError::Name(_)
        | SetupError::WrongName(_)
        | SetupError::Image(ImageError::NotAllowed { .. } | ImageError::Unfit { .. }) => {
            Exit::Usage
        }
        SetupError::Foreign { .. } => Exit::Conflict,
        SetupError::Image(ImageError::Unknown(_) | ImageError::Unreachable { .. }) => {
            Exit::Unreachable
        }
        SetupError::Command { .. } | SetupError::Image(_) | SetupError::Store(_) => Exit::Other,
    };
    Failure::new(exit, error.to_string())
}
