//! From a name to a prepared image: what has to be done for it, and doing it. The image that is
//! there is used until the new one has its name.

use containarium_contract::ImageRef;

use super::{
    Bench, ImageError, Remotes, Shelf, Tell, While as _,
    build::{Plan, build},
    pull,
    shelf::{base_alias, from},
};

/// How new the prepared image must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// There: what a create needs.
    There,
    /// Of today's recipe: what an upgrade needs.
    Current,
    /// And of the base image that its server has now.
    Newest,
    /// Made now.
    Anew,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It was so already.
    Already,
    /// It is now.
    Now,
    /// It is there, and whether it could be newer cannot be found out.
    Kept {
        /// Why not.
        why: String,
    },
}

/// Sees to it that containers can be made from `image`. Whoever calls has the turn.
pub(crate) async fn prepare(
    bench: &Bench,
    image: &ImageRef,
    docker: bool,
    wish: Wish,
    tell: Tell<'_>,
) -> Result<Prepared, ImageError> {
    let shelf = Shelf::look(&bench.incus).await.doing("listing images")?;
    let there = shelf.prepared(image, docker).is_some();
    if wish == Wish::There && there {
        return Ok(Prepared::Already);
    }
    let plain = shelf.prepared(image, false);
    let known = shelf.base(image).map(|base| base.fingerprint.clone());
    let mut anew = wish == Wish::Anew || plain.is_none() || shelf.is_outdated(image, false);
    let mut base = known.clone();
    let remote = image.remote() != Remotes::LOCAL;
    if remote && (matches!(wish, Wish::Newest | Wish::Anew) || (anew && known.is_none())) {
        match pull(bench, image, tell).await {
            Ok(fetched) => base = Some(fetched),
            Err(ImageError::Stopping(image)) => return Err(ImageError::Stopping(image)),
            // What was fetched once will do, and what is prepared even more so.
            Err(_) if wish == Wish::Anew && known.is_some() => {}
            Err(why) if there && wish != Wish::Anew => return Ok(kept(&why)),
            Err(why) => return Err(why),
        }
    }
    if matches!(wish, Wish::Newest | Wish::Anew) && base.is_some() {
        anew |= plain.and_then(from) != base.as_deref();
    }
    let docker_anew = docker && (anew || !there || shelf.is_outdated(image, true));
    if !anew && !docker_anew {
        return Ok(Prepared::Already);
    }
    let mut of = plain
        .map(|plain| plain.fingerprint.clone())
        .unwrap_or_default();
    if anew {
        let Some(base) = &base else {
            let why = ImageError::Unknown(image.clone());
            return if there { Ok(kept(&why)) } else { Err(why) };
        };
        let plan = Plan {
            image,
            docker: false,
            from: base,
        };
        let made = match check(bench, image, base).await {
            Ok(()) => build(bench, &plan, tell).await,
            unfit => unfit.map(|()| String::new()),
        };
        if made.is_err() && known.as_ref() != Some(base) {
            take_back(bench, image, base, known.as_deref()).await;
        }
        of = made?;
        replaced(bench, plain.map(|old| old.fingerprint.as_str()), &of).await;
        replaced(bench, known.as_deref().filter(|_| remote), base).await;
    }
    if docker_anew {
        let plan = Plan {
            image,
            docker: true,
            from: &of,
        };
        let made = build(bench, &plan, tell).await?;
        let old = shelf.prepared(image, true);
        replaced(bench, old.map(|old| old.fingerprint.as_str()), &made).await;
    }
    Ok(Prepared::Now)
}

fn kept(why: &ImageError) -> Prepared {
    Prepared::Kept {
        why: why.to_string(),
    }
}

/// Whether the base image is one of containers, for this machine.
async fn check(bench: &Bench, image: &ImageRef, base: &str) -> Result<(), ImageError> {
    let (server, images) = tokio::try_join!(bench.incus.server(), bench.incus.images())
        .doing("looking at the base image")?;
    let machine = server.environment.kernel_architecture;
    let found = images.iter().find(|known| known.fingerprint == base);
    let unfit = found.and_then(|found| match found {
        vm if vm.kind == "virtual-machine" => Some("an image of a virtual machine".to_owned()),
        other if other.architecture != machine => {
            Some(format!("an image for {} machines", other.architecture))
        }
        _ => None,
    });
    match unfit {
        Some(what) => {
            let image = image.clone();
            Err(ImageError::Unfit { image, what })
        }
        None => Ok(()),
    }
}

/// Removes what `new` took the name of. Containers made of it are their own.
async fn replaced(bench: &Bench, old: Option<&str>, new: &str) {
    if let Some(old) = old.filter(|old| *old != new) {
        remove(bench, old).await;
    }
}

/// The base image that was fetched for nothing goes, and the one before it has its name again.
async fn take_back(bench: &Bench, image: &ImageRef, base: &str, known: Option<&str>) {
    if let Some(known) = known
        && let Err(e) = bench.incus.put_image_alias(&base_alias(image), known).await
    {
        tracing::warn!(%image, error = %e, "its base image has lost its name");
    }
    remove(bench, base).await;
}

async fn remove(bench: &Bench, fingerprint: &str) {
    if let Err(e) = bench.engine.remove_image(fingerprint).await {
        tracing::warn!(fingerprint, error = %e, "an image that nobody needs stays");
    }
}
