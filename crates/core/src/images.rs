//! Images: which may be had, fetching one, and preparing it so that containers are clones of it.
//! Used by the daemon, when a create needs one, and by `init`.

mod build;
mod flight;
mod prepare;
mod pull;
mod recipe;
mod remotes;
mod serve;
mod shelf;
mod sweep;
mod turn;

use std::{fmt, io};

use containarium_contract::{ImageProgress, ImageRef};
use containarium_incus::{Client, Error as Incus};
use tokio_util::sync::CancellationToken;

use crate::{Installation, engine::Engine};

pub(crate) use flight::Flights;
pub(crate) use prepare::{Prepared, Wish, prepare};
pub(crate) use pull::pull;
pub use recipe::prepared_properties;
pub use remotes::{NotARemote, Remote, Remotes};
pub(crate) use serve::{run_delete, run_prepare};
pub(crate) use shelf::{Shelf, alias, base_alias};
pub(crate) use sweep::sweep;
pub(crate) use turn::Turn;

/// Told what is being done, as it goes.
pub(crate) type Tell<'a> = &'a (dyn Fn(ImageProgress) + Send + Sync);

/// Where images are prepared.
#[derive(Clone)]
pub(crate) struct Bench {
    /// In our project.
    pub(crate) incus: Client,
    pub(crate) engine: Engine,
    pub(crate) remotes: Remotes,
    /// How long an image server may take to its first byte.
    pub(crate) patience: std::time::Duration,
    /// Preparing stops when this does, and takes back what it began.
    pub(crate) closing: CancellationToken,
}

impl Bench {
    /// `incus` is in any project.
    pub(crate) fn new(
        incus: &Client,
        installation: Installation,
        remotes: Remotes,
        patience: std::time::Duration,
        closing: CancellationToken,
    ) -> Self {
        Self {
            incus: incus.in_project(&installation.name),
            engine: Engine::new(incus, installation),
            remotes,
            patience,
            closing,
        }
    }
}

/// A step without a percentage.
pub(crate) fn step(text: impl Into<String>) -> ImageProgress {
    ImageProgress {
        step: text.into(),
        percent: None,
    }
}

/// Why there is no prepared image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not from there.
    #[error(
        "`image`: `{}` is no image remote here; those there are: {}",
        .image.remote(), .remotes.join(", ")
    )]
    NotAllowed {
        /// What was asked for.
        image: ImageRef,
        /// What may stand before the colon.
        remotes: Vec<String>,
    },
    /// The image server, or Incus, does not know the name.
    #[error("{} has no image of containers called `{}`", place(.0), .0.alias())]
    Unknown(ImageRef),
    /// The image server does not answer, or not to the end.
    #[error("{image} cannot be had: the image server does not give it ({why})")]
    Unreachable {
        /// What was asked for.
        image: ImageRef,
        /// The last word of what Incus said.
        why: String,
    },
    /// It is there, and nothing for us.
    #[error(
        "`image`: {image} is {what}; only systems with apt and systemd (Debian, Ubuntu and their kin) for this machine's processor can be prepared"
    )]
    Unfit {
        /// What was asked for.
        image: ImageRef,
        /// What it is.
        what: String,
    },
    /// A script failed in the builder.
    #[error("{image} could not be prepared: {script} failed; its last lines:\n{evidence}")]
    Script {
        /// What was asked for.
        image: ImageRef,
        /// Which script, and how.
        script: String,
        /// The end of what it printed.
        evidence: String,
    },
    /// The daemon stops, or `init` was told to.
    #[error("preparing {0} was cut off: the daemon is stopping")]
    Stopping(ImageRef),
    /// No space is left.
    #[error("no space is left for the image: the containers' storage is full")]
    NoSpace(#[source] Incus),
    /// Incus does not answer.
    #[error("Incus does not answer")]
    EngineAway(#[source] Incus),
    /// Incus said no.
    #[error("{what}: {source}")]
    Engine {
        /// What was being done.
        what: String,
        /// What Incus said.
        source: Incus,
    },
    /// The file that holds others off cannot be used.
    #[error("{what}: {source}")]
    Host {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

fn place(image: &ImageRef) -> String {
    if image.remote() == Remotes::LOCAL {
        "this server".into()
    } else {
        format!("the image server `{}`", image.remote())
    }
}

/// Says what was being done when Incus failed.
trait While<T> {
    fn doing(self, what: impl fmt::Display) -> Result<T, ImageError>;
}

impl<T> While<T> for Result<T, Incus> {
    fn doing(self, what: impl fmt::Display) -> Result<T, ImageError> {
        self.map_err(|source| match source {
            full @ Incus::NoSpace(_) => ImageError::NoSpace(full),
            away @ (Incus::Unreachable { .. } | Incus::Protocol(_)) => ImageError::EngineAway(away),
            source => ImageError::Engine {
                what: what.to_string(),
                source,
            },
        })
    }
}
