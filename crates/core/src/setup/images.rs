//! The image part of `init`: chooses the installation's image where nobody did, and sees to it that
//! it is prepared by today's recipe, with and without Docker.

use std::{sync::Mutex, time::Duration};

use containarium_contract::{ImageProgress, ImageRef};
use containarium_incus::Client;
use tokio_util::sync::CancellationToken;

use super::{Init, Report, SetupError, base_image};
use crate::{
    Installation,
    images::{Bench, ImageError, Prepared, Shelf, Turn, Wish, prepare, sweep},
};

/// What a create without an image gets, where it can be had.
const USUAL: &str = "images:ubuntu/24.04";
/// How long its server may take to its first byte, before the host's own release is taken.
const PATIENCE: Duration = Duration::from_secs(8);

/// Prepares the installation's image; its name.
pub(super) async fn images(
    incus: &Client,
    installation: &Installation,
    ask: &Init,
    report: Report<'_>,
) -> Result<ImageRef, SetupError> {
    let bench = Bench::new(
        incus,
        installation.clone(),
        ask.remotes.clone(),
        PATIENCE,
        CancellationToken::new(),
    );
    let _turn = Turn::new(&ask.state_dir).take().await?;
    sweep(&bench)
        .await
        .map_err(engine("removing old builders"))?;
    let shelf = look(&bench).await?;
    let there = |image: &ImageRef| {
        [false, true].map(|docker| shelf.prepared(image, docker).is_some()) != [false, false]
    };
    let image = if let Some(image) = &ask.image {
        if !bench.remotes.allow(image) {
            return Err(not_allowed(&bench, image));
        }
        report(&format!("image {image}: as asked for"));
        image.clone()
    } else if there(&installation.default_image) {
        installation.default_image.clone()
    } else {
        match usual(&bench, report).await? {
            Some(usual) => return Ok(usual),
            None => base_image::of_this_host()?,
        }
    };
    base(&bench, &image, ask, report).await?;
    both(&bench, &image, report).await?;
    let shelf = look(&bench).await?;
    let mut old: Vec<ImageRef> = shelf
        .all_prepared()
        .filter(|(other, docker, _)| *other != image && shelf.is_outdated(other, *docker))
        .map(|(other, ..)| other)
        .collect();
    old.dedup();
    for other in old {
        report(&format!(
            "image {other}: prepared by an earlier version and usable; `containarium image \
             prepare {other}` makes it anew"
        ));
    }
    Ok(image)
}

/// The usual image, if it can be had; else says why not.
async fn usual(bench: &Bench, report: Report<'_>) -> Result<Option<ImageRef>, SetupError> {
    let Ok(image) = USUAL.parse::<ImageRef>() else {
        return Ok(None);
    };
    if !bench.remotes.allow(&image) {
        return Ok(None);
    }
    report(&format!("image {image}: asking its server"));
    match both(bench, &image, report).await {
        Ok(()) => {
            report(&format!("image {image}: chosen, as the usual one"));
            Ok(Some(image))
        }
        Err(SetupError::Image(
            why @ (ImageError::Unreachable { .. }
            | ImageError::Unknown(_)
            | ImageError::Unfit { .. }
            | ImageError::Script { .. }),
        )) => {
            report(&format!("{why}"));
            report("so this host's own release is chosen, from its own package mirror");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Builds the base image where it is this host's own release and missing.
async fn base(
    bench: &Bench,
    image: &ImageRef,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let shelf = look(bench).await?;
    let good =
        |docker| shelf.prepared(image, docker).is_some() && !shelf.is_outdated(image, docker);
    if shelf.base(image).is_some() || (good(false) && good(true)) {
        return Ok(());
    }
    // On another system than Debian and Ubuntu there is no such image, and nothing to build.
    if base_image::of_this_host().is_ok_and(|own| own == *image) {
        report(&format!(
            "base image {image}: building it from this host's package mirror"
        ));
        base_image::build(&bench.incus, image, &ask.state_dir).await?;
    }
    Ok(())
}

async fn both(bench: &Bench, image: &ImageRef, report: Report<'_>) -> Result<(), SetupError> {
    for docker in [false, true] {
        let kind = if docker {
            "with Docker"
        } else {
            "without Docker"
        };
        let last = Mutex::new(String::new());
        let tell = |progress: ImageProgress| {
            let Ok(mut last) = last.lock() else { return };
            // Each step once, and not each percent of it.
            if *last != progress.step {
                report(&format!("image {image} {kind}: {}", progress.step));
                *last = progress.step;
            }
        };
        match prepare(bench, image, docker, Wish::Current, &tell).await? {
            Prepared::Already => report(&format!("image {image} {kind}: there")),
            // The script inside got its packages through the bridge.
            Prepared::Now => report(&format!(
                "image {image} {kind}: ready; containers reach the package mirror"
            )),
            Prepared::Kept { why } => report(&format!(
                "image {image} {kind}: there, of an earlier version: {why}"
            )),
        }
    }
    Ok(())
}

async fn look(bench: &Bench) -> Result<Shelf, SetupError> {
    Shelf::look(&bench.incus)
        .await
        .map_err(engine("listing images"))
}

fn not_allowed(bench: &Bench, image: &ImageRef) -> SetupError {
    SetupError::Image(ImageError::NotAllowed {
        image: image.clone(),
        remotes: bench.remotes.names(),
    })
}

fn engine(what: &str) -> impl FnOnce(containarium_incus::Error) -> SetupError {
    let what = what.to_owned();
    move |source| SetupError::Engine { what, source }
}
