//! Bringing store and engine together: what should be done is decided by a pure planner, and done
//! by operations and a few small acts. It runs at the start, when the engine comes back, when
//! something happened past us, and every minute.

mod plan;

use std::{collections::HashMap, sync::Arc, time::Duration};

use containarium_contract::{OperationId, State};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Containarium, Error, Record, chain, claims::Claim, clock, operations::Plan, store::Phase,
    work::Work,
};

use plan::{Act, Observed, Suspect, plan};

/// Between two passes where nothing happens.
const EVERY: Duration = Duration::from_secs(60);
/// Between a pass in which something failed and the next, at first and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long one waits for its turn on a container, before it is left to the next pass.
pub(crate) const TURN: Duration = Duration::from_secs(1);
/// How long a removal that nobody waits for may take.
const WITHIN: Duration = Duration::from_secs(3600);

impl Containarium {
    /// Reconciles until the daemon stops.
    pub(crate) async fn reconcile(self) {
        let mut suspects = HashMap::new();
        let mut pause = EVERY;
        loop {
            tokio::select! {
                () = self.inner.closing.cancelled() => return,
                () = self.inner.disagreement.notified() => {}
                () = sleep(pause) => {}
            }
            let done = tokio::select! {
                () = self.inner.closing.cancelled() => return,
                done = self.pass(&mut suspects) => done,
            };
            pause = match done {
                Ok(true) => EVERY,
                Ok(false) if pause >= EVERY => AGAIN.0,
                Ok(false) => (pause * 2).min(AGAIN.1),
                // A pass on an incomplete listing is void; the engine's return wakes us.
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "no pass");
                    EVERY
                }
            };
        }
    }

    /// One pass; whether all that was to be done is done.
    async fn pass(&self, suspects: &mut HashMap<String, Suspect>) -> Result<bool, Error> {
        let begun = Instant::now();
        self.look_at_all().await?;
        self.inner.engine.restore_quotas().await;
        let space = timeout(Duration::from_secs(5), self.inner.engine.space()).await;
        let space = space.ok().and_then(Result::ok);
        let now = clock::now();
        let records = self.inner.store.all_containers();
        // Those that have a task first: what ends after that is not taken for one without.
        let tasks = self.inner.operations.ids();
        let unfinished = self.inner.store.unfinished().await?;
        let busy = self.inner.operations.busy();
        let idle = unfinished.iter().filter(|op| !tasks.contains(&op.id));
        let idle: Vec<OperationId> = idle.map(|op| op.id.clone()).collect();
        let acts = self.inner.inventory.all(|seen| {
            let observed = Observed {
                installation: &self.inner.engine.installation.id,
                records: &records,
                unfinished: &idle,
                seen,
                busy: &busy,
                space: space.map(|space| (space.used, space.total)),
                ranges: self.inner.engine.installation.uid_ranges.into(),
                now,
            };
            plan(&observed, suspects)
        });
        let mut all = true;
        for act in acts {
            tracing::info!(?act, "reconciling");
            if let Err(error) = self.act(&act).await {
                tracing::warn!(?act, error = %chain(&error), "not reconciled yet");
                all = false;
            }
        }
        self.take_back_rooms().await;
        for record in records.iter().filter(|record| record.phase == Phase::Ready) {
            self.look_at_login(record).await;
        }
        tracing::debug!(took = ?begun.elapsed(), containers = records.len(), "reconciled");
        let there = |id: &str| self.inner.store.container_by_id(id).is_some();
        self.inner.samples.retain(there);
        self.inner.standbys.wake();
        // They are told as leaks, to whoever asks for those.
        for (id, state) in self.strays(Instant::now()) {
            tracing::warn!(id, ?state, "a standby is nobody's and is not removed");
        }
        self.inner.store.prune(now).await?;
        Ok(all)
    }

    async fn act(&self, act: &Act) -> Result<(), Error> {
        match act {
            Act::Resume(id) => {
                // The rest waits until it is known what it is about.
                self.disagree();
                if let Some(op) = self.inner.store.operation(id.clone()).await? {
                    self.resume(op);
                }
                Ok(())
            }
            Act::Undo(id) => self.undo_by_id(id).await,
            Act::Restore(id) => self.restore_by_id(id).await,
            Act::Mark(id) => self.mark_by_id(id).await,
            Act::Still(id) => self.still_by_id(id).await,
            Act::Forget(id) => {
                let Some(_turn) = self.turn_of(id, &[Phase::Deleted]).await? else {
                    return Ok(());
                };
                let id = id.clone();
                Ok(self.inner.store.write(move |tx| tx.forget(&id)).await?)
            }
            Act::Purge(id, cause) => {
                let Some(record) = self.inner.store.container_by_id(id) else {
                    return Ok(());
                };
                let plan = Plan::about(&record, Work::Purge, WITHIN);
                self.begin_ourselves(cause.as_str(), plan).await
            }
            Act::RemoveHalfMade(instance) => Ok(self.inner.engine.remove(instance).await?),
        }
    }

    /// The claim on a container, with its record, if it is in one of these phases and no operation is
    /// about it: since the pass began, one may have begun, or have ended.
    async fn turn_of(
        &self,
        id: &str,
        phases: &[Phase],
    ) -> Result<Option<(Claim, Arc<Record>)>, Error> {
        let Some(record) = self.inner.store.container_by_id(id) else {
            return Ok(None);
        };
        let claim = self.inner.claims.claim(record.username.as_str());
        let Ok(claim) = timeout(TURN, claim).await else {
            return Ok(None);
        };
        let unfinished = self.inner.store.unfinished().await?;
        if unfinished
            .iter()
            .any(|op| op.container.as_deref() == Some(id))
        {
            return Ok(None);
        }
        let record = self.inner.store.container_by_id(id);
        let record = record.filter(|record| phases.contains(&record.phase));
        Ok(record.map(|record| (claim, record)))
    }

    async fn mark_by_id(&self, id: &str) -> Result<(), Error> {
        match self.turn_of(id, &[Phase::Ready, Phase::Deleted]).await? {
            Some((_claim, record)) => Ok(self.mark(&record).await?),
            None => Ok(()),
        }
    }

    /// The engine has it as one that is there for its users, the store does not yet, or not any
    /// more: an old copy of it was brought back.
    async fn restore_by_id(&self, id: &str) -> Result<(), Error> {
        let turn = self.turn_of(id, &[Phase::Creating, Phase::Deleted]).await?;
        let Some((_claim, record)) = turn else {
            return Ok(());
        };
        // The listing may be older than the delete that has just been done.
        let Some(tags) = self.inner.engine.tags_of(&record.instance()).await? else {
            return Ok(());
        };
        if tags.id != record.id || !tags.ready || tags.kept_until.is_some() {
            return Ok(());
        }
        let seen = self.inner.inventory.state(&record.instance());
        let running = seen.is_some_and(|(state, _)| state == State::Running);
        let (id, now) = (record.id.clone(), clock::now());
        let written = self.inner.store.write(move |tx| {
            tx.set_phase(&id, Phase::Ready, now)?;
            tx.set_running(&id, running)
        });
        written.await?;
        tracing::warn!(username = %record.username, "it was there, past this store");
        if let Some(record) = self.inner.store.container_by_id(&record.id) {
            self.follow_up(&record);
        }
        Ok(())
    }

    /// Stops a deleted container that Incus started: as one that had been running when Incus was
    /// killed, whatever was asked for just before.
    async fn still_by_id(&self, id: &str) -> Result<(), Error> {
        let Some((_claim, record)) = self.turn_of(id, &[Phase::Deleted]).await? else {
            return Ok(());
        };
        let instance = record.instance();
        self.inner.engine.kill(&instance).await?;
        self.inner.inventory.set(&instance, State::Stopped);
        // What else is to be done with it is seen in the next pass.
        self.disagree();
        Ok(())
    }

    /// Lets an instance say what its record says. Whoever calls has the claim.
    pub(crate) async fn mark(&self, record: &Record) -> Result<(), containarium_incus::Error> {
        self.inner.engine.mark(record).await?;
        let until = record.kept_until;
        self.inner.inventory.set_tags(&record.instance(), |tags| {
            tags.ready = true;
            tags.kept_until = until;
        });
        Ok(())
    }

    /// Removes what is left of a container that never was, or shall not be any more.
    async fn undo_by_id(&self, id: &str) -> Result<(), Error> {
        let turn = self
            .turn_of(id, &[Phase::Creating, Phase::Deleting])
            .await?;
        let Some((_claim, record)) = turn else {
            return Ok(());
        };
        self.inner.engine.settle(&record.instance()).await?;
        self.inner.engine.remove(&record.instance()).await?;
        let id = id.to_owned();
        Ok(self.inner.store.write(move |tx| tx.forget(&id)).await?)
    }

    /// Wakes the reconciler.
    pub(crate) fn disagree(&self) {
        self.inner.disagreement.notify_one();
    }
}

#[cfg(test)]
mod tests;
