//! What a call that takes long is waiting for: the preparation of its image, in words for a spinner
//! or a heartbeat.

use std::time::Duration;

use containarium_contract::{ImageRef, ListImages};

use crate::Client;

/// A look must not be what holds the caller up.
const LOOK: Duration = Duration::from_secs(3);

/// The image that a call may be waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its name; `None` is the server's default.
    pub image: Option<ImageRef>,
    /// Whether it is the one with Docker.
    pub docker: bool,
}

/// What is being done for that image, such as `downloading images:debian/13, 40 %`; `None` where
/// nothing is, or nobody says.
pub async fn preparation(client: &Client, awaited: &Awaited) -> Option<String> {
    let list = client.impatient(LOOK).call(&ListImages {}).await.ok()?;
    let found = list.images.into_iter().find(|known| {
        let named = awaited
            .image
            .as_ref()
            .map_or(known.default, |image| known.image == *image);
        named && known.docker_enabled == awaited.docker
    });
    let progress = found?.progress?;
    Some(match progress.percent {
        Some(percent) => format!("{}, {percent} %", progress.step),
        None => progress.step,
    })
}
