//! Room for a container whose disk is full. Incus writes into the container's own disk before it starts
//! it, so a tenant who filled it could never start it again, not even to tidy up: it is grown by a
//! little, which is said, and taken back when it is not needed any more.

use containarium_contract::ByteSize;
use tokio::time::timeout;

use crate::{
    Containarium, Error, Record, engine::Tags, operations::Run, reconcile::TURN, store::Phase,
};

/// What a full disk grows by for a start.
const ROOM: u64 = 64 << 20;
/// What it may have beyond its quota in all: whoever fills it anew each time must not go on for ever.
const MOST: u64 = 4 * ROOM;
/// How much must be free again in the quota before the rest is taken back; a disk that is made
/// smaller than what is in it is one that Incus can never change again.
const MARGIN: u64 = 64 << 20;

/// Makes room in a stopped container for a start that found none. Answers with a sentence of it,
/// behind a space.
pub(crate) async fn made(run: &mut Run, record: &Record) -> Result<String, Error> {
    let core = run.core.clone();
    let (engine, instance) = (&core.inner.engine, record.instance());
    let disk = &record.spec.resources.disk;
    let quota = disk.bytes();
    let size = run
        .insist(|| engine.disk(&instance))
        .await??
        .unwrap_or(quota);
    // It may have been made smaller past us.
    let grown = size.max(quota) + ROOM;
    if grown > quota + MOST {
        return Err(Error::DiskFull {
            username: record.username.clone(),
            disk: disk.clone(),
            more: ByteSize::from_bytes(size.saturating_sub(quota)),
        });
    }
    // What Incus tells of its use leaves out what it shares with its image, and the quota counts that.
    // Now that it is full, the difference is known.
    let used = run.insist(|| engine.disk_usage(&instance)).await??;
    let until = used.unwrap_or_default();
    let until = until.saturating_sub(size.saturating_sub(quota) + MARGIN);
    run.insist(|| engine.set_disk(&instance, grown, Some(until)))
        .await??;
    core.inner
        .inventory
        .set_tags(&instance, |tags| tags.roomy = Some(until));
    let more = ByteSize::from_bytes(grown - quota);
    tracing::warn!(username = %record.username, %more, "a full disk was grown for a start");
    Ok(format!(
        " Its disk of {disk} is full: to be started it was given {more} more, which go again when {} of \
         the {disk} are free.",
        ByteSize::from_bytes(MARGIN)
    ))
}

impl Containarium {
    /// Takes back what a container had been given for a start, where it does without. Whoever calls has
    /// the claim.
    pub(crate) async fn take_back_room(&self, record: &Record) -> Result<(), Error> {
        let (engine, instance) = (&self.inner.engine, record.instance());
        let Some(until) = self.inner.inventory.roomy(&instance) else {
            return Ok(());
        };
        let used = engine.disk_usage(&instance).await?;
        if used.is_some_and(|used| used <= until) {
            let quota = record.spec.resources.disk.bytes();
            engine.set_disk(&instance, quota, None).await?;
            let back = |tags: &mut Tags| tags.roomy = None;
            self.inner.inventory.set_tags(&instance, back);
            tracing::info!(username = %record.username, "a disk has its own size again");
        }
        Ok(())
    }

    /// The same of all that nobody works on.
    pub(crate) async fn take_back_rooms(&self) {
        for record in self.inner.store.all_containers() {
            let grown = self.inner.inventory.roomy(&record.instance()).is_some();
            if record.phase != Phase::Ready || !grown || self.inner.operations.is_busy(&record.id) {
                continue;
            }
            // Whoever has just begun something with it may have it for long.
            let claim = self.inner.claims.claim(record.username.as_str());
            let Ok(_claim) = timeout(TURN, claim).await else {
                continue;
            };
            if let Err(error) = self.take_back_room(&record).await {
                tracing::warn!(username = %record.username, %error, "room is not taken back yet");
            }
        }
    }
}
