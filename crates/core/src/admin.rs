//! What an admin does when store and engine do not agree: see it, adopt it, or remove it.

use std::collections::HashSet;

use containarium_contract::{
    AdoptContainers, Adopted, InstanceName, ListUnclaimed, PurgeUnclaimed, Unclaimed,
    UnclaimedList, UnclaimedPurged,
};
use containarium_incus::Instance;

use crate::{
    Containarium, Error, Principal, Record, Role, StoreError, clock,
    engine::{self, Tags, tags},
};

impl Containarium {
    /// Finished containers of this installation that the store does not know.
    pub async fn unclaimed(
        &self,
        who: &Principal,
        _: ListUnclaimed,
    ) -> Result<UnclaimedList, Error> {
        admin(who)?;
        let found = self.find_unclaimed().await?;
        let unclaimed = found.iter().map(|one| self.described(one)).collect();
        Ok(UnclaimedList { unclaimed })
    }

    /// Takes unclaimed containers into the store, as their tags say they were.
    pub async fn adopt(&self, who: &Principal, ask: AdoptContainers) -> Result<Adopted, Error> {
        admin(who)?;
        let AdoptContainers { instances, all } = ask;
        if instances.is_empty() != all {
            return Err(Error::AdoptWhat);
        }
        let found = self.find_unclaimed().await?;
        let known = |name: &InstanceName| found.iter().any(|one| one.name == name.as_str());
        if let Some(missing) = instances.iter().find(|name| !known(name)) {
            return Err(Error::NotUnclaimed(missing.to_string()));
        }
        let wanted: HashSet<&str> = instances.iter().map(InstanceName::as_str).collect();
        let (mut adopted, mut refused) = (Vec::new(), Vec::new());
        for one in &found {
            if !all && !wanted.contains(one.name.as_str()) {
                continue;
            }
            match self.adopt_one(one).await? {
                Ok(record) => adopted.push(record.username),
                Err(obstacle) => refused.push(Unclaimed {
                    obstacle: Some(obstacle),
                    ..self.described(one)
                }),
            }
        }
        adopted.sort();
        let message = match (adopted.len(), refused.len()) {
            (0, 0) => "There is nothing to adopt.".to_owned(),
            (some, 0) => format!("{some} adopted."),
            (some, others) => format!("{some} adopted, {others} not: each says why."),
        };
        self.disagree();
        Ok(Adopted {
            adopted,
            refused,
            message,
        })
    }

    /// Removes an unclaimed container for good.
    pub async fn purge_unclaimed(
        &self,
        who: &Principal,
        ask: PurgeUnclaimed,
    ) -> Result<UnclaimedPurged, Error> {
        admin(who)?;
        let name = String::from(ask.instance);
        let this = self.clone();
        self.to_the_end(async move {
            let found = this.find_unclaimed().await?;
            if !found.iter().any(|one| one.name == name) {
                return Err(Error::NotUnclaimed(name));
            }
            this.inner.engine.remove(&name).await?;
            this.inner.inventory.remove(&name);
            let message = format!("{name} and everything in it is removed for good.");
            Ok(UnclaimedPurged { message })
        })
        .await
    }

    /// They carry our tags, were there for their users once, and no row knows them.
    async fn find_unclaimed(&self) -> Result<Vec<Instance>, Error> {
        let all = self.while_it_answers(self.inner.engine.list()).await?;
        let ours = |instance: &Instance| {
            let tags = Tags::of(instance);
            let known = self.inner.store.container_by_id(&tags.id).is_some();
            tags.install == self.inner.engine.installation.id
                && !tags.id.is_empty()
                && tags.ready
                && !known
        };
        let mut found: Vec<Instance> = all.into_iter().filter(ours).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn described(&self, instance: &Instance) -> Unclaimed {
        let (username, owner) = tags::names(instance);
        let read = Tags::of(instance);
        let obstacle = match record_of(instance) {
            Ok(record) => self.obstacle(&record),
            Err(why) => Some(why),
        };
        Unclaimed {
            instance: instance.name.clone(),
            username,
            owner,
            created_at: Some(read.created_at).filter(|at| *at > 0),
            deleted_until: read.kept_until.map(clock::rfc3339_of),
            obstacle,
        }
    }

    /// What it would need and somebody else has.
    fn obstacle(&self, record: &Record) -> Option<String> {
        for known in self.inner.store.all_containers() {
            let held = |what: &str| {
                let name = known.username.container_name();
                Some(format!("{what} is held by {name} (`{}`)", known.instance()))
            };
            let holds_name = known.kept_until.is_none() && record.kept_until.is_none();
            if known.username == record.username && holds_name {
                return held(&format!("the name {}", record.username));
            }
            if known.address == record.address {
                return held(&format!("its address {}", record.address));
            }
            if known.uid_base == record.uid_base {
                return held(&format!("its range of user ids from {}", record.uid_base));
            }
        }
        None
    }

    async fn adopt_one(&self, instance: &Instance) -> Result<Result<Record, String>, Error> {
        let record = match record_of(instance) {
            Ok(record) => record,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(obstacle) = self.obstacle(&record) {
            return Ok(Err(obstacle));
        }
        let written = record.clone();
        match self.inner.store.write(move |tx| tx.adopt(&written)).await {
            Ok(()) => {
                tracing::info!(username = %record.username, instance = instance.name, "adopted");
                self.follow_up(&record);
                Ok(Ok(record))
            }
            Err(StoreError::Taken(why)) => Ok(Err(format!("somebody has what it needs: {why}"))),
            Err(other) => Err(other.into()),
        }
    }
}

fn record_of(instance: &Instance) -> Result<Record, String> {
    let running = engine::state(instance.status_code) == containarium_contract::State::Running;
    let record = tags::record(instance, running).map_err(|bad| bad.to_string())?;
    if record.instance() == instance.name {
        Ok(record)
    } else {
        Err(format!("its tags are those of `{}`", record.instance()))
    }
}

/// Store and engine are the admins' alone to bring together.
pub(crate) fn admin(who: &Principal) -> Result<(), Error> {
    if who.is(Role::Admin) {
        Ok(())
    } else {
        Err(Error::Forbidden)
    }
}
