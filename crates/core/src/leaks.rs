//! Looking for what was left behind: in the engine what no row owns, in the store what nothing is
//! behind. What is being worked on is none.

use std::collections::HashSet;

use containarium_contract::{EngineHealth, Leak, LeakList, ListLeaks, State};

use crate::{Containarium, Error, Principal, admin::admin, clock, store::Phase};

impl Containarium {
    /// Everything that was left behind.
    pub async fn leaks(&self, who: &Principal, _: ListLeaks) -> Result<LeakList, Error> {
        admin(who)?;
        let mut leaks = self.leaks_of_store().await?;
        let engine = match self.leaks_of_engine().await {
            Ok(found) => {
                leaks.extend(found);
                EngineHealth::Ok
            }
            Err(Error::EngineAway(_) | Error::EngineSilent) => EngineHealth::Unreachable,
            Err(other) => return Err(other),
        };
        Ok(LeakList { leaks, engine })
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
        let asked = async { tokio::try_join!(engine.volumes(), engine.list()) };
        let (volumes, instances) = self.while_it_answers(asked).await?;
        let records = self.inner.store.all_containers();
        let busy = self.inner.operations.busy();
        let known: HashSet<String> = records.iter().map(|record| record.instance()).collect();
        let mut leaks = Vec::new();
        let leak = |kind: &str, name: &str, detail: String| Leak {
            kind: kind.into(),
            name: name.into(),
            detail,
        };
        for instance in &instances {
            let tags = &instance.tags;
            let ours = tags.install == engine.installation.id;
            // A standby is kept, or removed, as the daemon was told to.
            let expected = busy.contains(&tags.id) || tags.standby.is_some();
            if !ours || known.contains(&instance.name) || expected {
                continue;
            }
            let detail = if tags.id.is_empty() {
                if self.inner.flights.under_way().is_empty() {
                    "a builder that no preparation uses".to_owned()
                } else {
                    continue;
                }
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
        Ok(leaks)
    }
}
