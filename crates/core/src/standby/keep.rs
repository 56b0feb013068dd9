//! Keeping as many standbys as are wanted: making those that are missing, removing those that nobody
//! wants.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use containarium_contract::{ImageRef, State};
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use super::StandbyCount;
use crate::{
    Containarium, StoreError, chain, clock,
    engine::{Body, tags::Made},
    login,
    store::{Candidate, instance_name},
};

/// Between a standby that could not be made and the next try, at first and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long one may wait, seconds: what it was made from gets older, too.
const OLD: u64 = 24 * 3600;

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

/// One that nobody has.
#[derive(Clone, Debug)]
struct Spare {
    created_at: u64,
    id: String,
    made: Made,
    state: State,
}

impl Containarium {
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
        if !login::banner(sshd, Instant::now() + self.inner.patience.boot).await {
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
}
