//! Standbys: containers that are booted before anybody asks, and wait frozen. A create takes one
//! where there is one of its image; whoever has once been given to somebody is never given again.
//!
//! No row of the store knows them: their tags say what they are. A create's row takes over the id, the
//! address and the user ids, and from that moment the container is that create's.

mod claim;
mod count;
mod keep;
mod strays;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use containarium_contract::{ImageRef, StandbyInfo, State};
use tokio::sync::Notify;

use crate::{
    Containarium,
    engine::{Tags, tags::Made},
    inventory::Seen,
    store::Candidate,
};

pub use count::{NotAStandbyCount, StandbyCount};
use strays::Strays;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_from_the_image_of_now_is_given_out() {
        let kind: StandbyCount = "local:a,docker=2".parse().unwrap();
        let standbys = Standbys::new(vec![kind.clone()]);
        let is_current = |from: &str| {
            standbys.is_current(&Made {
                image: kind.image.clone(),
                docker: kind.docker,
                from: from.to_owned(),
            })
        };
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
    fn of_one_kind_the_last_count_is_meant() {
        let given = ["local:a=1", "local:a,docker=2", "local:b=3", "local:a=4"];
        let kept = Standbys::new(given.map(|text| text.parse().unwrap()).into()).counts;
        let meant = ["local:a,docker=2", "local:b=3", "local:a=4"];
        assert_eq!(kept, meant.map(|text| text.parse().unwrap()));
    }
}
