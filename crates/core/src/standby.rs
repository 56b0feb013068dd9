//! Standbys: containers that are booted before anybody asks, and wait frozen. A create takes one
//! where there is one of its image; whoever has once been given to somebody is never given again.
//!
//! No row of the store knows them: their tags say what they are. A create's row takes over the id, the
//! address and the user ids, and from that moment the container is that create's.

mod strays;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use containarium_contract::{ImageRef, StandbyInfo, State};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use ulid::Ulid;

use crate::{
    Containarium, Error, Record, StoreError, chain, clock,
    create::BOOT,
    engine::{Body, Tags, tags::Made},
    inventory::Seen,
    login,
    operations::Run,
    step::Step,
    store::{Candidate, instance_name},
};

use strays::Strays;

/// Between a standby that could not be made and the next try, at first and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long the sshd of a thawed one may take to speak.
const CLAIM: Duration = Duration::from_secs(5);
/// How long one may wait, seconds: what it was made from gets older, too.
const OLD: u64 = 24 * 3600;

/// How many standbys of an image are kept, such as `local:debian/12,docker=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyCount {
    /// The image.
    pub image: ImageRef,
    /// Whether Docker works inside.
    pub docker: bool,
    /// How many.
    pub count: u32,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not IMAGE=COUNT or IMAGE,docker=COUNT, such as local:debian/12,docker=2")]
pub struct NotAStandbyCount(String);

impl FromStr for StandbyCount {
    type Err = NotAStandbyCount;

    fn from_str(text: &str) -> Result<Self, NotAStandbyCount> {
        let bad = || NotAStandbyCount(text.to_owned());
        let (what, count) = text.rsplit_once('=').ok_or_else(bad)?;
        let (image, docker) = match what.strip_suffix(",docker") {
            Some(image) => (image, true),
            None => (what, false),
        };
        Ok(Self {
            image: image.parse().map_err(|_| bad())?,
            docker,
            count: count.parse().map_err(|_| bad())?,
        })
    }
}

/// Why there are fewer than are wanted.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("Incus cannot make or remove one")]
    Engine(#[from] containarium_incus::Error),
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    #[error("one was started and its sshd does not speak")]
    Silent,
    #[error("there is no address or range of user ids left")]
    Exhausted,
}

/// What is known of standbys beside what the engine has.
#[derive(Debug, Default)]
pub(crate) struct Standbys {
    counts: Vec<StandbyCount>,
    under_way: Mutex<UnderWay>,
    wake: Notify,
}

/// One is made or removed at a time.
#[derive(Debug, Default)]
struct UnderWay {
    /// What the one that is being made holds.
    making: Option<(Ipv4Addr, u32)>,
    /// The id of the one that is being removed, which nobody gets any more.
    leaving: Option<String>,
    strays: Strays,
}

impl Standbys {
    /// Of several counts of one kind the last is meant: kept by two, one would be made and removed for ever.
    pub(crate) fn new(given: Vec<StandbyCount>) -> Self {
        let mut counts: Vec<StandbyCount> = Vec::new();
        for one in given {
            counts.retain(|known| (&known.image, known.docker) != (&one.image, one.docker));
            counts.push(one);
        }
        Self {
            counts,
            ..Self::default()
        }
    }

    /// Something may have changed: one was taken, nobody is at work any more, a pass of the reconciler has
    /// seen what the engine has.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether this one is being removed.
    fn is_leaving(&self, id: &str) -> bool {
        self.under_way().leaving.as_deref() == Some(id)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Containarium {
    /// Addresses and first user ids that are in use, by instances that are there or will be. Whoever
    /// gives some out looks in the transaction in which that is done.
    pub(crate) fn in_use(&self) -> (Vec<Ipv4Addr>, Vec<u32>) {
        let (mut addresses, mut uids) = self.inner.inventory.in_use();
        if let Some((address, uid_base)) = self.inner.standbys.under_way().making {
            addresses.push(address);
            uids.push(uid_base);
        }
        (addresses, uids)
    }

    /// Those that a create of this image may take, the one that waited longest first.
    pub(crate) fn waiting(&self, image: &ImageRef, docker: bool) -> Vec<Candidate> {
        let mut found = self.those(|tags, made, seen| {
            let is_it =
                seen.state == State::Frozen && made.image == *image && made.docker == docker;
            is_it.then(|| (tags.created_at, Candidate::of(tags)))
        });
        found.sort_by_key(|(created_at, _)| *created_at);
        found.into_iter().filter_map(|(_, one)| one).collect()
    }

    /// How many there are of each kind that is kept.
    pub fn standby_info(&self) -> Vec<StandbyInfo> {
        let counts = self.inner.standbys.counts.iter();
        counts
            .map(|wanted| StandbyInfo {
                image: wanted.image.clone(),
                docker: wanted.docker,
                wanted: wanted.count,
                ready: u32::try_from(self.waiting(&wanted.image, wanted.docker).len())
                    .unwrap_or(u32::MAX),
            })
            .collect()
    }

    /// What `look` makes of all that nobody has.
    fn those<T>(&self, look: impl Fn(&Tags, &Made, &Seen) -> Option<T>) -> Vec<T> {
        let inner = &self.inner;
        let install = &inner.engine.installation.id;
        inner.inventory.all(|all| {
            let standbys = all.values().filter_map(|seen| {
                let made = seen.tags.standby.as_deref()?;
                let ours = seen.tags.install == *install
                    && inner.store.container_by_id(&seen.tags.id).is_none()
                    && !inner.standbys.is_leaving(&seen.tags.id);
                ours.then(|| look(&seen.tags, made, seen)).flatten()
            });
            standbys.collect()
        })
    }

    /// Keeps as many as are wanted until the daemon stops; one is made at a time, and only while nobody
    /// waits for anything else.
    pub(crate) async fn keep_standbys(self) {
        let mut pause = AGAIN.0;
        loop {
            let again = tokio::select! {
                () = self.inner.closing.cancelled() => return,
                kept = self.keep_some() => kept,
            };
            let again = match again {
                Ok(()) => {
                    pause = AGAIN.0;
                    None
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "there are fewer standbys than are wanted");
                    pause = (pause * 2).min(AGAIN.1);
                    Some(pause)
                }
            };
            tokio::select! {
                () = self.inner.closing.cancelled() => return,
                () = self.inner.standbys.wake.notified() => {}
                () = sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
        }
    }

    /// Removes those that nobody wants, and makes those that are missing, as long as nobody else is at
    /// work.
    async fn keep_some(&self) -> Result<(), NotKept> {
        if !self.inner.inventory.is_listed() || self.engine_answers().is_err() {
            return Ok(());
        }
        let counts = &self.inner.standbys.counts;
        let mut wanted = Vec::new();
        for kind in counts {
            let from = self.inner.engine.prepared(&kind.image, kind.docker).await?;
            wanted.push((kind, from));
        }
        for id in self.unwanted(&wanted) {
            self.discard(&id).await?;
        }
        for (kind, from) in &wanted {
            if from.is_none() {
                tracing::warn!(image = %kind.image, docker = kind.docker, "no standby: the image is not prepared");
                continue;
            }
            while self.waiting(&kind.image, kind.docker).len() < kind.count as usize {
                if !self.inner.operations.is_idle() {
                    // Woken when the last of them ends.
                    return Ok(());
                }
                self.make_standby(kind).await?;
            }
        }
        Ok(())
    }

    /// Those that are too many, too old, made from what is no longer the image, or not frozen: an earlier
    /// daemon left them before they were ready, or their host was started anew.
    fn unwanted(&self, wanted: &[(&StandbyCount, Option<String>)]) -> Vec<String> {
        let now = clock::now();
        let mut kept: HashMap<(ImageRef, bool), u32> = HashMap::new();
        let mut all = self.those(|tags, made, seen| {
            Some((tags.created_at, tags.id.clone(), made.clone(), seen.state))
        });
        // The youngest stay.
        all.sort_by_key(|(created_at, ..)| std::cmp::Reverse(*created_at));
        let mut unwanted = Vec::new();
        for (created_at, id, made, state) in all {
            let kind = wanted.iter().find(|(kind, from)| {
                kind.image == made.image
                    && kind.docker == made.docker
                    && from.as_ref() == Some(&made.from)
            });
            let young = now.saturating_sub(created_at) < OLD;
            let so_far = kept.entry((made.image, made.docker)).or_default();
            let keep = kind.is_some_and(|(kind, _)| *so_far < kind.count)
                && young
                && state == State::Frozen;
            if keep {
                *so_far += 1;
            } else {
                unwanted.push(id);
            }
        }
        unwanted
    }

    /// Removes a standby, unless a create has taken it meanwhile.
    async fn discard(&self, id: &str) -> Result<(), NotKept> {
        let under_way = || self.inner.standbys.under_way();
        under_way().leaving = Some(id.to_owned());
        // Creates that were written down before this did not see that it is leaving.
        let done = match self.inner.store.write(|_| Ok(())).await {
            Ok(()) if self.inner.store.container_by_id(id).is_some() => Ok(()),
            Ok(()) => {
                let instance = instance_name(id);
                tracing::info!(%instance, "removing a standby");
                let removed = self.removed_standby(&instance).await;
                if removed.is_ok() {
                    self.inner.inventory.remove(&instance);
                }
                removed.map_err(NotKept::from)
            }
            Err(error) => Err(error.into()),
        };
        under_way().leaving = None;
        done
    }

    /// A daemon that died may have left Incus starting it: killed meanwhile it would leave its network
    /// interfaces behind.
    async fn removed_standby(&self, instance: &str) -> Result<(), containarium_incus::Error> {
        self.inner.engine.settle(instance).await?;
        self.inner.engine.remove(instance).await
    }

    async fn make_standby(&self, kind: &StandbyCount) -> Result<(), NotKept> {
        let id = Ulid::generate().to_string().to_lowercase();
        let core = self.clone();
        let held = self.inner.store.write(move |tx| {
            let held = tx.hold(&core.inner.engine.installation, core.in_use())?;
            core.inner.standbys.under_way().making = held;
            Ok(held)
        });
        let (address, uid_base) = held.await?.ok_or(NotKept::Exhausted)?;
        let body = Body {
            id: &id,
            image: &kind.image,
            docker: kind.docker,
            address,
            uid_base,
        };
        let made = self.boot_standby(&body).await;
        if made.is_err() {
            // What cannot be removed now is found, and not frozen, in the next look.
            self.removed_standby(&instance_name(&id)).await?;
        }
        self.inner.standbys.under_way().making = None;
        made
    }

    async fn boot_standby(&self, body: &Body<'_>) -> Result<(), NotKept> {
        let begun = Instant::now();
        let (engine, instance) = (&self.inner.engine, instance_name(body.id));
        let turn = self.inner.starts.turn().await;
        engine.make_standby(body).await?;
        drop(turn);
        let sshd = engine.installation.at(body.address, 22);
        if !login::banner(sshd, Instant::now() + BOOT).await {
            return Err(NotKept::Silent);
        }
        engine.booted(&instance).await?;
        engine.freeze(&instance).await?;
        let tags = engine.tags_of(&instance).await?;
        self.inner.inventory.set(&instance, State::Frozen);
        if let Some(tags) = tags {
            self.inner
                .inventory
                .set_tags(&instance, |known| *known = tags);
        }
        tracing::info!(image = %body.image, docker = body.docker, took = ?begun.elapsed(), "a standby waits");
        Ok(())
    }

    /// Makes the standby that a create has taken its user's. A step that can be done again.
    pub(crate) async fn claim(&self, run: &mut Run, record: &Record) -> Result<(), Error> {
        let (engine, instance) = (&self.inner.engine, record.instance());
        run.settled(&instance).await?;
        if !run.is_resumed() || engine.state(&instance).await? == Some(State::Frozen) {
            engine.thaw(&instance).await?;
        }
        let sshd = engine.installation.at(record.address, 22);
        let (limited, let_in, speaks) = tokio::join!(
            engine.become_of(record),
            engine.let_in(record),
            login::banner(sshd, Instant::now() + CLAIM)
        );
        limited?;
        let why = match (let_in?, speaks) {
            (true, true) => {
                self.inner.inventory.set_tags(&instance, |tags| {
                    tags.standby = None;
                    tags.ready = false;
                });
                return Ok(());
            }
            (false, _) => "its user could not be let in",
            (true, false) => "its sshd is silent",
        };
        Err(Error::Step {
            what: "create",
            username: record.username.clone(),
            step: Step::Claim,
            why: why.to_owned(),
            evidence: engine.evidence(&instance).await,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let read = |text: &str| text.parse::<StandbyCount>();
        let kind = |docker, count| StandbyCount {
            image: "images:ubuntu/24.04".parse().unwrap(),
            docker,
            count,
        };
        assert_eq!(read("images:ubuntu/24.04=3"), Ok(kind(false, 3)));
        assert_eq!(read("images:ubuntu/24.04,docker=0"), Ok(kind(true, 0)));
        for bad in [
            "",
            "images:ubuntu/24.04",
            "=3",
            "images:ubuntu/24.04=-1",
            "images:ubuntu/24.04,podman=1",
        ] {
            read(bad).unwrap_err();
        }
    }

    #[test]
    fn of_one_kind_the_last_count_is_meant() {
        let given = ["local:a=1", "local:a,docker=2", "local:b=3", "local:a=4"];
        let kept = Standbys::new(given.map(|text| text.parse().unwrap()).into()).counts;
        let meant = ["local:a,docker=2", "local:b=3", "local:a=4"];
        assert_eq!(kept, meant.map(|text| text.parse().unwrap()));
    }
}
