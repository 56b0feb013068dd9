//! Removing what a preparation left that was cut off: builders, and images that nothing names.

use containarium_incus::{Error, Instance};

use super::{Bench, Remotes, Shelf, build::BUILDER};

/// Removes it. Whoever calls has the turn, so no builder is at work.
pub(crate) async fn sweep(bench: &Bench) -> Result<(), Error> {
    let builder = |instance: Instance| Some(instance.name).filter(|name| name.starts_with(BUILDER));
    let builders = bench.incus.each_instance(builder);
    let (builders, shelf) = tokio::try_join!(builders, Shelf::look(&bench.incus))?;
    for left in builders {
        tracing::info!(builder = left, "removing what a preparation left");
        bench.engine.remove(&left).await?;
    }
    for left in shelf.unnamed() {
        bench.engine.remove_image(&left.fingerprint).await?;
    }
    for (image, base) in shelf.bases() {
        let used = [false, true]
            .iter()
            .any(|docker| shelf.prepared(&image, *docker).is_some());
        // One that was built here is not to be had again by asking for it.
        if !used && image.remote() != Remotes::LOCAL {
            bench.engine.remove_image(&base.fingerprint).await?;
        }
    }
    Ok(())
}
