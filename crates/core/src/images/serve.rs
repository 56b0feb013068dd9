//! What callers do with images: list, prepare, delete, and wait for one that a create needs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use containarium_contract::{
    DeleteImage, Effect, Image, ImageDeleted, ImageList, ImagePrepared, ImageProgress, ImageRef,
    ImageState, ListImages, PrepareImage, Username,
};

use super::{
    Bench, ImageError, Prepared, Shelf, Wish,
    flight::{Flight, Landed},
    prepare, sweep,
};
use crate::{
    Asked, Begun, Containarium, Decision, Error, Principal,
    access::{decide_shared, refusal_shared},
    operations::{Plan, Run},
    step::Step,
    work::Work,
};

/// How long a preparation may take.
const PREPARING: Duration = Duration::from_secs(45 * 60);
/// How long one who removes an image waits for a sweep.
const SWEPT: Duration = Duration::from_secs(2);
/// How long removing an image may take.
const DELETING: Duration = Duration::from_secs(5 * 60);

impl Containarium {
    /// Returns the images that are prepared or being prepared.
    pub async fn list_images(&self, who: &Principal, _: ListImages) -> Result<ImageList, Error> {
        may(who, Effect::Read)?;
        let shelf = self.answer(&self.inner.questions.images, look).await?;
        let engine = shelf.engine();
        Ok(ImageList {
            images: self.images(shelf.newest().as_deref()).await?,
            remotes: self.inner.bench.remotes.names(),
            engine,
        })
    }

    /// Prepares an image, anew where it could be newer; answers when it is ready.
    pub async fn prepare_image(
        &self,
        asked: impl Into<Asked>,
        request: PrepareImage,
    ) -> Result<ImagePrepared, Error> {
        self.done(self.begin_prepare_image(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_prepare_image(
        &self,
        asked: Asked,
        request: PrepareImage,
    ) -> Result<Begun<PrepareImage>, Error> {
        let who = asked.who.clone();
        let judged = async {
            may(&who, Effect::Write)?;
            self.allowed(None, &request.image)?;
            self.engine_answers()?;
            let work = Work::PrepareImage {
                image: request.image.clone(),
                docker: request.enable_docker,
                force: request.force,
            };
            Ok(plan(&request.image, work, PREPARING))
        };
        self.begin(asked, &request, judged).await
    }

    /// Deletes what is prepared of an image, and the base image that was fetched for it.
    pub async fn delete_image(
        &self,
        asked: impl Into<Asked>,
        request: DeleteImage,
    ) -> Result<ImageDeleted, Error> {
        self.done(self.begin_delete_image(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_delete_image(
        &self,
        asked: Asked,
        request: DeleteImage,
    ) -> Result<Begun<DeleteImage>, Error> {
        let who = asked.who.clone();
        let judged = async {
            may(&who, Effect::Destroy)?;
            if self.default_image().await? == request.image {
                return Err(Error::DefaultImage(request.image.clone()));
            }
            self.engine_answers()?;
            let image = request.image.clone();
            Ok(plan(&request.image, Work::DeleteImage { image }, DELETING))
        };
        self.begin(asked, &request, judged).await
    }

    /// Waits until a container can be made from the image, and prepares it if need be.
    pub(crate) async fn prepared_for(
        &self,
        run: &mut Run,
        username: &Username,
        image: &ImageRef,
        docker: bool,
    ) -> Result<(), Error> {
        match self
            .fly(run, Step::Make, image, docker, Wish::There)
            .await?
        {
            Ok(_done) => Ok(()),
            Err(cause) => Err(self.no_image(Some(username), docker, cause).await),
        }
    }

    /// Refuses an image of a remote that is not on the list.
    pub(crate) fn allowed(
        &self,
        username: Option<&Username>,
        image: &ImageRef,
    ) -> Result<(), Error> {
        let remotes = &self.inner.bench.remotes;
        if remotes.allow(image) {
            return Ok(());
        }
        Err(Error::Image {
            username: username.cloned(),
            cause: Arc::new(ImageError::NotAllowed {
                image: image.clone(),
                remotes: remotes.names(),
            }),
            available: Vec::new(),
        })
    }

    /// The image of a create that names none, which an `init` beside us may have changed.
    pub(crate) async fn default_image(&self) -> Result<ImageRef, Error> {
        Ok(self.inner.store.installation().await?.default_image)
    }

    /// Removes what an earlier daemon left half prepared, in the background.
    pub(crate) fn sweep_images(&self) {
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let swept = match this.inner.turn.try_take() {
                Ok(Some(_turn)) => sweep(&this.inner.bench).await.map_err(|e| e.to_string()),
                // Whoever has it is alive, and so is his builder.
                Ok(None) => Ok(()),
                Err(e) => Err(e.to_string()),
            };
            if let Err(error) = swept {
                tracing::warn!(
                    error,
                    "what a preparation left is not removed; the next one does"
                );
            }
        });
    }

    /// Joins the preparation of an image, or begins it; tells what it does as what `step` does.
    async fn fly(
        &self,
        run: &mut Run,
        step: Step,
        image: &ImageRef,
        docker: bool,
        wish: Wish,
    ) -> Result<Landed, Error> {
        let this = self.clone();
        let closing = &self.inner.bench.closing;
        let mut aboard = self.inner.flights.join(image, docker, closing, |sender, closing| {
            let image = image.clone();
            let bench = Bench {
                closing,
                ..self.inner.bench.clone()
            };
            self.inner.tasks.spawn(async move {
                let tell = |progress: ImageProgress| {
                    tracing::debug!(%image, step = progress.step, percent = progress.percent, "preparing");
                    sender.send_replace(Flight::Under(progress));
                };
                let done = this.in_turn(&bench, &image, docker, wish, &tell).await;
                match &done {
                    Ok(done) => tracing::info!(%image, docker, ?done, "image"),
                    Err(error) => tracing::warn!(%image, docker, %error, "no image"),
                }
                sender.send_replace(Flight::Landed(done.map_err(Arc::new)));
            });
        });
        let mut told = String::new();
        loop {
            let cancelled = run.cancelled();
            match aboard.now() {
                Flight::Landed(Err(why))
                    if matches!(*why, ImageError::Stopping(_)) && closing.is_cancelled() =>
                {
                    return Err(Error::Suspended(run.op().id.clone()));
                }
                Flight::Landed(landed) => return Ok(landed),
                Flight::Under(progress) => {
                    let ImageProgress {
                        step: doing,
                        percent,
                    } = progress;
                    let news = doing != told;
                    told.clone_from(&doing);
                    run.say(step, doing, percent);
                    if news {
                        // Those who listen to events hear of each stage, not of each percent.
                        run.note(|_| Ok(())).await?;
                    }
                }
            }
            tokio::select! {
                there = aboard.moved() => {
                    if !there {
                        let fell = crate::StoreError::Unreadable("a preparation ended early".into());
                        return Err(fell.into());
                    }
                }
                () = cancelled => return Err(Error::Cancelled),
            }
        }
    }

    async fn in_turn(
        &self,
        bench: &Bench,
        image: &ImageRef,
        docker: bool,
        wish: Wish,
        tell: super::Tell<'_>,
    ) -> Result<Prepared, ImageError> {
        let _turn = tokio::select! {
            turn = self.inner.turn.take() => turn?,
            () = bench.closing.cancelled() => return Err(ImageError::Stopping(image.clone())),
        };
        if let Err(e) = sweep(bench).await {
            tracing::warn!(error = %e, "what a preparation left is not removed yet");
        }
        let done = prepare(bench, image, docker, wish, tell).await;
        match &done {
            // One that failed may have come half the way.
            Ok(Prepared::Now) | Err(_) => self.inner.standbys.image_changed(image),
            Ok(Prepared::Already | Prepared::Kept { .. }) => {}
        }
        done
    }

    async fn no_image(
        &self,
        username: Option<&Username>,
        docker: bool,
        cause: Arc<ImageError>,
    ) -> Error {
        let shelf = Shelf::look(&self.inner.bench.incus).await;
        Error::Image {
            username: username.cloned(),
            cause,
            available: shelf.map_or_else(|_away| Vec::new(), |shelf| shelf.available(docker)),
        }
    }

    /// Returns what is prepared according to `shelf`, where it is known, and what is being prepared.
    async fn images(&self, shelf: Option<&Shelf>) -> Result<Vec<Image>, Error> {
        let default = self.default_image().await?;
        let mut all: BTreeMap<(ImageRef, bool), Image> = BTreeMap::new();
        let prepared = shelf.into_iter().flat_map(|shelf| {
            let all = shelf.all_prepared();
            all.map(move |(image, docker, at)| (shelf, image, docker, at))
        });
        for (shelf, image, docker, at) in prepared {
            let view = Image {
                docker_enabled: docker,
                state: ImageState::Ready,
                default: image == default,
                outdated: shelf.is_outdated(&image, docker),
                size_bytes: Some(at.size),
                prepared_at: seconds(&at.uploaded_at),
                progress: None,
                image: image.clone(),
            };
            all.insert((image, docker), view);
        }
        for (image, docker, progress) in self.inner.flights.under_way() {
            let key = (image.clone(), docker);
            let view = all.entry(key).or_insert_with(|| Image {
                docker_enabled: docker,
                state: ImageState::Preparing,
                default: image == default,
                outdated: false,
                size_bytes: None,
                prepared_at: None,
                progress: None,
                image,
            });
            view.progress = Some(progress);
        }
        Ok(all.into_values().collect())
    }
}

/// A preparation, from its beginning: what an earlier daemon left of it is swept away.
pub(crate) async fn run_prepare(
    run: &mut Run,
    image: ImageRef,
    docker: bool,
    force: bool,
) -> Result<(), Error> {
    let core = run.core.clone();
    run.begin(Step::Prepare)?;
    let wish = if force { Wish::Anew } else { Wish::Newest };
    let done = match core.fly(run, Step::Prepare, &image, docker, wish).await? {
        Ok(done) => done,
        Err(cause) => return Err(core.no_image(None, docker, cause).await),
    };
    run.passed(Step::Prepare);
    run.begin_anyway(Step::Commit);
    let message = match done {
        Prepared::Now => format!("{image} is prepared."),
        Prepared::Already => format!("{image} is prepared already, and nothing is newer."),
        Prepared::Kept { why } => {
            format!("{image} is prepared already. Whether there is a newer one is unknown: {why}.")
        }
    };
    let shelf = look(core.clone()).await?;
    core.inner.questions.images.learn(Arc::clone(&shelf));
    let all = core.images(Some(&shelf)).await?;
    let found = all
        .into_iter()
        .find(|known| known.image == image && known.docker_enabled == docker);
    let image = found.ok_or(Error::NoImage(image))?;
    run.succeed(&ImagePrepared { image, message }, |_| Ok(()))
        .await
}

/// A removal, from wherever an earlier daemon left it.
pub(crate) async fn run_delete(run: &mut Run, image: ImageRef) -> Result<(), Error> {
    let core = run.core.clone();
    let engine = &core.inner.engine;
    run.begin(Step::Remove)?;
    {
        // A daemon that has just begun sweeps, which is over soon; what was promised waits for
        // anything.
        let patience = if run.is_resumed() { DELETING } else { SWEPT };
        let taken = tokio::select! {
            taken = tokio::time::timeout(patience, core.inner.turn.take()) => taken,
            () = run.cancelled() => return Err(Error::Cancelled),
            () = core.inner.closing.cancelled() => {
                return Err(Error::Suspended(run.op().id.clone()));
            }
        };
        let Ok(taken) = taken else {
            return Err(Error::ImagesBusy(image));
        };
        let _turn = taken.map_err(|e| plainly(Arc::new(e)))?;
        let shelf = Shelf::look(&core.inner.bench.incus).await?;
        let prepared = [true, false].map(|docker| shelf.prepared(&image, docker));
        let all: Vec<_> = prepared
            .into_iter()
            .chain([shelf.own_base(&image)])
            .flatten()
            .collect();
        if all.is_empty() && !run.is_resumed() {
            return Err(Error::NoImage(image));
        }
        for part in all {
            engine.remove_image(&part.fingerprint).await?;
        }
        core.inner.standbys.image_changed(&image);
        core.inner.questions.images.ask(&core, look);
    }
    run.passed(Step::Remove);
    run.begin_anyway(Step::Commit);
    let message = format!("{image} is deleted; containers made from it stay.");
    run.succeed(&ImageDeleted { message, image }, |_| Ok(()))
        .await
}

fn plan(image: &ImageRef, work: Work, within: Duration) -> Plan {
    Plan {
        target: image.to_string(),
        container: None,
        owner: None,
        work,
        within,
        reserve: None,
        limits: Vec::new(),
    }
}

/// Asks the engine for the images of our project.
async fn look(core: Containarium) -> Result<Arc<Shelf>, Error> {
    Ok(Arc::new(Shelf::look(&core.inner.bench.incus).await?))
}

fn may(who: &Principal, effect: Effect) -> Result<(), Error> {
    match decide_shared(who, effect) {
        Decision::Allow => Ok(()),
        Decision::Forbid | Decision::Hide => Err(refusal_shared(who, effect)),
    }
}

fn plainly(cause: Arc<ImageError>) -> Error {
    Error::Image {
        username: None,
        cause,
        available: Vec::new(),
    }
}

/// Incus's moment without its fractions of a second, which nobody needs.
fn seconds(moment: &str) -> Option<String> {
    let at = humantime::parse_rfc3339(moment).ok()?;
    Some(humantime::format_rfc3339_seconds(at).to_string())
}
