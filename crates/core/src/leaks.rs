//! Looking for what was left behind: in the engine and on this host what no row owns, in the store
//! what nothing is behind. What is being worked on is none.

mod processes;

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use containarium_contract::{Effect, Leak, LeakList, ListLeaks, State};
use tokio::time::{Instant, sleep};

use crate::{
    Containarium, Error, Principal,
    admin::admin,
    chain, clock,
    images::Shelf,
    questions::Answer,
    store::{Phase, instance_name},
};

use processes::Worker;

/// How long what worked for an instance may outlive it.
const OUTLIVE: Duration = Duration::from_secs(1);

impl Containarium {
    /// Returns everything that was left behind. What was found earlier in the engine may be gone, and
    /// what is there may be new: where it does not answer, only what is known without it is told.
    pub async fn leaks(&self, who: &Principal, _: ListLeaks) -> Result<LeakList, Error> {
        admin(who, Effect::Read)?;
        let mut leaks = self.leaks_of_store().await?;
        let look = async |core: Self| {
            let mut found = core.leaks_of_engine().await?;
            found.extend(core.leaks_of_host().await?);
            Ok(Arc::new(found))
        };
        let found = self.answer(&self.inner.questions.leaks, look).await?;
        if let Answer::Now(found) = &found {
            leaks.extend_from_slice(found);
        }
        Ok(LeakList {
            leaks,
            engine: found.engine(),
        })
    }

    /// Operations past their deadline, and rows that nobody works on and that are not finished.
    async fn leaks_of_store(&self) -> Result<Vec<Leak>, Error> {
        let now = clock::now_ms();
        let unfinished = self.inner.store.unfinished().await?;
        let late = unfinished.iter().filter(|op| op.deadline < now);
        let mut leaks: Vec<Leak> = late
            .map(|op| Leak {
                kind: "operation".into(),
                name: op.id.to_string(),
                detail: format!(
                    "{} of {} is not over, and its deadline was {}",
                    op.kind().as_str(),
                    op.target,
                    clock::rfc3339(op.deadline)
                ),
            })
            .collect();
        let worked_on: HashSet<&str> = unfinished
            .iter()
            .filter_map(|op| op.container.as_deref())
            .collect();
        for record in self.inner.store.all_containers() {
            let half = matches!(record.phase, Phase::Creating | Phase::Deleting);
            if half && !worked_on.contains(record.id.as_str()) {
                leaks.push(Leak {
                    kind: "record".into(),
                    name: record.username.to_string(),
                    detail: "it is half made or half removed, and no operation works on it".into(),
                });
            }
        }
        Ok(leaks)
    }

    async fn leaks_of_engine(&self) -> Result<Vec<Leak>, Error> {
        let engine = &self.inner.engine;
        // Rows come before their instances and go after them, so the engine is asked first.
        let prepared = self.is_preparing();
        let shelf = Shelf::look(&self.inner.bench.incus);
        let (volumes, instances, shelf) = tokio::try_join!(engine.volumes(), engine.list(), shelf)?;
        // One that ended meanwhile had its builder, and its image had no name yet.
        let preparing = prepared || self.is_preparing();
        let records = self.inner.store.all_containers();
        let busy = self.inner.operations.busy();
        let known: HashSet<String> = records.iter().map(|record| record.instance()).collect();
        let mut leaks = Vec::new();
        for instance in &instances {
            let tags = &instance.tags;
            let ours = tags.install == engine.installation.id;
            // A standby is kept, or removed, as the daemon was told to; those that are not are below.
            let expected = busy.contains(&tags.id) || tags.standby.is_some();
            if !ours || known.contains(&instance.name) || expected {
                continue;
            }
            let detail = if tags.id.is_empty() {
                if preparing {
                    continue;
                }
                "a builder that no preparation uses".to_owned()
            } else if tags.ready || instance.state == State::Running {
                "a container that the store does not know: adopt or purge it".to_owned()
            } else {
                "a create left it half made, and the store does not know it".to_owned()
            };
            leaks.push(leak("instance", &instance.name, detail));
        }
        let there: HashSet<&str> = instances.iter().map(|one| one.name.as_str()).collect();
        for record in &records {
            let should = matches!(record.phase, Phase::Ready | Phase::Deleted);
            if should && !there.contains(record.instance().as_str()) && !busy.contains(&record.id) {
                let detail = format!("Incus does not have its instance `{}`", record.instance());
                leaks.push(leak("record", record.username.as_str(), detail));
            }
        }
        for volume in volumes {
            let instance = volume.name.split('/').next().unwrap_or_default();
            let at_work = instance
                .strip_prefix("c-")
                .is_some_and(|id| busy.contains(id));
            if volume.kind == "container" && !there.contains(instance) && !at_work {
                let detail = "a volume whose instance is gone".to_owned();
                leaks.push(leak("volume", &volume.name, detail));
            }
        }
        let unnamed = shelf.unnamed().filter(|_| !preparing);
        leaks.extend(unnamed.map(|image| {
            let detail = "a preparation that was cut off made it, and nothing names it".to_owned();
            leak("image", &image.fingerprint, detail)
        }));
        leaks.extend(self.strays(Instant::now()).into_iter().map(|(id, state)| {
            let state = match state {
                State::Running => "runs",
                State::Stopped => "is stopped",
                State::Creating
                | State::Frozen
                | State::Starting
                | State::Stopping
                | State::Error
                | State::Deleting
                | State::Deleted => "does not wait",
            };
            let detail = format!("a standby that {state}, and that nobody makes, has or removes");
            leak("instance", &instance_name(&id), detail)
        }));
        Ok(leaks)
    }

    /// Whether an image is being prepared, by us or by an `init` beside us.
    fn is_preparing(&self) -> bool {
        !self.inner.flights.under_way().is_empty() || matches!(self.inner.turn.try_take(), Ok(None))
    }

    /// Processes that work for instances that are gone; where the engine is another machine's, none of
    /// them is seen.
    async fn leaks_of_host(&self) -> Result<Vec<Leak>, Error> {
        let Some(socket) = self.inner.engine.socket() else {
            return Ok(Vec::new());
        };
        let first = self.nobodys(socket).await?;
        if first.is_empty() {
            return Ok(Vec::new());
        }
        // Those of an instance that has just been removed are about to end.
        sleep(OUTLIVE).await;
        let mut left = self.nobodys(socket).await?;
        left.retain(|worker| first.contains(worker));
        let told = left.into_iter().map(|worker| {
            let detail = format!(
                "it works for `{}`, which is gone: {}",
                worker.instance, worker.command
            );
            leak("process", &worker.pid.to_string(), detail)
        });
        Ok(told.collect())
    }

    /// The processes that work for an instance that is not there.
    async fn nobodys(&self, socket: &Path) -> Result<Vec<Worker>, Error> {
        let project = self.inner.engine.installation.name.clone();
        let socket = socket.to_owned();
        // A process for each line of a `ps`: not for the async threads.
        let seen = tokio::task::spawn_blocking(move || processes::of(&socket, &project)).await;
        let mut seen = seen.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "the processes of this host are not known");
            Vec::new()
        });
        if seen.is_empty() {
            return Ok(seen);
        }
        // After them: one that has just been begun has its instance by now.
        let instances = self.inner.engine.list().await?;
        let there: HashSet<String> = instances.into_iter().map(|one| one.name).collect();
        seen.retain(|worker| !there.contains(&worker.instance));
        Ok(seen)
    }
}

fn leak(kind: &str, name: &str, detail: String) -> Leak {
    Leak {
        kind: kind.into(),
        name: name.into(),
        detail,
    }
}

#[cfg(test)]
mod tests;
