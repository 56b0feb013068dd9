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
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    current: Mutex<Current>,
    /// Whether somebody was refused an address or user ids since the last look.
    scarce: AtomicBool,
    wake: Notify,
}

/// What containers are made from, as it was last seen.
#[derive(Debug, Default)]
struct Current {
    /// Fingerprints, by image and whether Docker is in it.
    from: HashMap<(ImageRef, bool), String>,
    /// How often that has changed: a look that was begun before is void.
    changes: u64,
}

/// One that nobody has.
#[derive(Clone, Debug)]
struct Spare {
    created_at: u64,
    id: String,
    made: Made,
    state: State,
}

/// One is made or removed at a time.
#[derive(Debug, Default)]
struct UnderWay {
    /// The one that is being made, or that could not be and is not removed yet.
    making: Option<Candidate>,
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

    /// Whether any of this kind are kept.
    pub(crate) fn keeps(&self, image: &ImageRef, docker: bool) -> bool {
        let is_it = |one: &StandbyCount| one.image == *image && one.docker == docker;
        self.counts.iter().any(|one| is_it(one) && one.count > 0)
    }

    /// Somebody was refused, because all addresses or user ids are taken: what nobody wants gives way.
    pub(crate) fn give_way(&self) {
        self.scarce.store(true, Ordering::Release);
        self.wake();
    }

    /// An image was prepared anew or deleted: what was made from the one before is given to nobody, and
    /// the next look finds out what there is now.
    pub(crate) fn image_changed(&self, image: &ImageRef) {
        let mut current = self.current();
        current.changes += 1;
        current.from.retain(|(known, _), _| known != image);
        drop(current);
        self.wake();
    }

    /// What is found by a look that was begun after so many changes.
    fn looked(&self, changes: u64, found: &[(&StandbyCount, Option<String>)]) {
        let mut current = self.current();
        if current.changes == changes {
            let there = found.iter().filter_map(|(kind, from)| {
                Some(((kind.image.clone(), kind.docker), from.clone()?))
            });
            current.from = there.collect();
        }
    }

    /// Whether containers are still made from what this one was.
    fn is_current(&self, made: &Made) -> bool {
        let kind = (made.image.clone(), made.docker);
        self.current().from.get(&kind) == Some(&made.from)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(making) = &self.inner.standbys.under_way().making {
            addresses.push(making.address);
            uids.push(making.uid_base);
        }
        (addresses, uids)
    }

    /// Those that a create of this image may take, the one that waited longest first.
    pub(crate) fn waiting(&self, image: &ImageRef, docker: bool) -> Vec<Candidate> {
        let mut found = self.those(|tags, made, seen| {
            let is_it = seen.state == State::Frozen
                && made.image == *image
                && made.docker == docker
                && self.inner.standbys.is_current(made);
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

    /// Removes those that nobody wants, and makes one of those that are missing, as long as nobody else is
    /// at work.
    async fn keep_some(&self) -> Result<(), NotKept> {
        if !self.inner.inventory.is_listed() || self.engine_answers().is_err() {
            return Ok(());
        }
        let standbys = &self.inner.standbys;
        let changes = standbys.current().changes;
        let mut wanted = Vec::new();
        for kind in &standbys.counts {
            let from = self.inner.engine.prepared(&kind.image, kind.docker).await?;
            wanted.push((kind, from));
        }
        standbys.looked(changes, &wanted);
        if !self.may_work() {
            return Ok(());
        }
        self.unmade().await?;
        for id in unwanted(self.spare(), &wanted, clock::now()) {
            if !self.may_work() {
                return Ok(());
            }
            self.discard(&id).await?;
        }
        standbys.scarce.store(false, Ordering::Release);
        for (kind, from) in &wanted {
            if from.is_none() {
                tracing::warn!(image = %kind.image, docker = kind.docker, "no standby: the image is not prepared");
                continue;
            }
            if self.waiting(&kind.image, kind.docker).len() < kind.count as usize {
                if !self.inner.operations.is_idle() {
                    return Ok(());
                }
                self.make_standby(kind).await?;
                // The image may be another meanwhile: all is looked at again before the next is made.
                standbys.wake();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether something may be removed: nobody is at work, who would wait for it, or somebody could have
    /// what it holds. Woken when the last of those at work ends.
    fn may_work(&self) -> bool {
        let scarce = self.inner.standbys.scarce.load(Ordering::Acquire);
        scarce || self.inner.operations.is_idle()
    }

    /// All that nobody has.
    fn spare(&self) -> Vec<Spare> {
        self.those(|tags, made, seen| {
            Some(Spare {
                created_at: tags.created_at,
                id: tags.id.clone(),
                made: made.clone(),
                state: seen.state,
            })
        })
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
            let making = held.map(|(address, uid_base)| Candidate {
                id,
                address,
                uid_base,
            });
            core.inner.standbys.under_way().making.clone_from(&making);
            Ok(making)
        });
        let making = held.await?.ok_or(NotKept::Exhausted)?;
        let body = Body {
            id: &making.id,
            image: &kind.image,
            docker: kind.docker,
            address: making.address,
            uid_base: making.uid_base,
        };
        match self.boot_standby(&body).await {
            Ok(()) => {
                self.inner.standbys.under_way().making = None;
                Ok(())
            }
            Err(error) => {
                if let Err(stays) = self.unmade().await {
                    tracing::warn!(error = %chain(&stays), "a standby that could not be made is not removed yet");
                    self.disagree();
                }
                Err(error)
            }
        }
    }

    /// Removes what could not be made, if there is something. Until that is done, it keeps what it holds,
    /// and no other is made.
    async fn unmade(&self) -> Result<(), NotKept> {
        let making = self.inner.standbys.under_way().making.clone();
        let Some(making) = making else { return Ok(()) };
        let instance = instance_name(&making.id);
        self.removed_standby(&instance).await?;
        self.inner.inventory.remove(&instance);
        self.inner.standbys.under_way().making = None;
        Ok(())
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

/// Those that are too many, too old, made from what is no longer the image, or not frozen: an earlier
/// daemon left them before they were ready, or their host was started anew.
fn unwanted(
    mut all: Vec<Spare>,
    wanted: &[(&StandbyCount, Option<String>)],
    now: u64,
) -> Vec<String> {
    let mut kept: HashMap<(ImageRef, bool), u32> = HashMap::new();
    // The youngest stay.
    all.sort_by_key(|one| std::cmp::Reverse(one.created_at));
    let mut unwanted = Vec::new();
    for one in all {
        let made = one.made;
        let kind = wanted.iter().find(|(kind, from)| {
            kind.image == made.image
                && kind.docker == made.docker
                && from.as_ref() == Some(&made.from)
        });
        let young = now.saturating_sub(one.created_at) < OLD;
        let so_far = kept.entry((made.image, made.docker)).or_default();
        let keep = kind.is_some_and(|(kind, _)| *so_far < kind.count)
            && young
            && one.state == State::Frozen;
        if keep {
            *so_far += 1;
        } else {
            unwanted.push(one.id);
        }
    }
    unwanted
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn spare(id: &str, age: u64, from: &str, state: State) -> Spare {
        Spare {
            created_at: NOW - age,
            id: id.to_owned(),
            made: Made {
                image: "local:a".parse().unwrap(),
                docker: true,
                from: from.to_owned(),
            },
            state,
        }
    }

    #[test]
    fn what_is_too_old_or_of_another_image_or_does_not_wait_goes() {
        let kept: StandbyCount = "local:a,docker=2".parse().unwrap();
        let other: StandbyCount = "local:a=9".parse().unwrap();
        let wanted = |from: Option<&str>| {
            vec![
                (&other, Some("new".to_owned())),
                (&kept, from.map(str::to_owned)),
            ]
        };
        let frozen = State::Frozen;
        for (why, all, from, goes) in [
            (
                "older than a day",
                vec![
                    spare("young", OLD - 1, "new", frozen),
                    spare("old", OLD, "new", frozen),
                ],
                Some("new"),
                &["old"][..],
            ),
            (
                "the image was prepared anew",
                vec![
                    spare("before", 10, "old", frozen),
                    spare("since", 1, "new", frozen),
                ],
                Some("new"),
                &["before"],
            ),
            (
                "the image was deleted",
                vec![spare("a", 1, "new", frozen)],
                None,
                &["a"],
            ),
            (
                "too many",
                vec![
                    spare("first", 3, "new", frozen),
                    spare("second", 2, "new", frozen),
                    spare("third", 1, "new", frozen),
                ],
                Some("new"),
                &["first"],
            ),
            (
                "not frozen",
                vec![
                    spare("runs", 1, "new", State::Running),
                    spare("stopped", 2, "new", State::Stopped),
                    spare("waits", 3, "new", frozen),
                ],
                Some("new"),
                &["runs", "stopped"],
            ),
        ] {
            assert_eq!(unwanted(all, &wanted(from), NOW), goes, "{why}");
        }
    }

    #[test]
    fn only_what_was_made_from_the_image_of_now_is_given_out() {
        let kind: StandbyCount = "local:a,docker=2".parse().unwrap();
        let standbys = Standbys::new(vec![kind.clone()]);
        let is_current = |from| standbys.is_current(&spare("a", 1, from, State::Frozen).made);
        let look =
            |changes, from: &str| standbys.looked(changes, &[(&kind, Some(from.to_owned()))]);
        assert!(!is_current("old"), "nobody has looked yet");
        look(0, "old");
        assert!(is_current("old") && !is_current("new"));
        standbys.image_changed(&kind.image);
        assert!(!is_current("old") && !is_current("new"));
        // Begun before that.
        look(0, "old");
        assert!(!is_current("old"));
        look(1, "new");
        assert!(is_current("new") && !is_current("old"));
        standbys.image_changed(&"local:b".parse().unwrap());
        assert!(is_current("new"));
    }

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
