//! What an admin does when store and engine do not agree: see it, adopt it, or remove it.

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use containarium_contract::{
    AdoptContainers, Adopted, Effect, InstanceName, ListUnclaimed, PurgeUnclaimed, State, Subject,
    Unclaimed, UnclaimedList, UnclaimedPurged, Username,
};
use containarium_incus::Instance;

use crate::{
    Asked, Begun, Containarium, Decision, Error, Principal, Record, Role, StoreError,
    access::{decide_admin, refusal_shared},
    clock,
    engine::{self, Tags, tags},
    operations::{Plan, Run},
    questions::Answer,
    step::Step,
    store::Phase,
    work::Work,
};

/// Containers that are adopted in one transaction.
const AT_ONCE: usize = 256;
/// How long either may take, engine away and all.
const WITHIN: Duration = Duration::from_secs(10 * 60);

impl Containarium {
    /// Returns the finished containers of this installation that the store does not know. Where the
    /// engine does not answer this is an error: an empty list would say that all is well, and one from
    /// before may name what has been adopted or removed since.
    pub async fn unclaimed(
        &self,
        who: &Principal,
        _: ListUnclaimed,
    ) -> Result<UnclaimedList, Error> {
        admin(who, Effect::Read)?;
        let look = async |core: Self| Ok(Arc::new(core.look_for_unclaimed().await?));
        let found = self.answer(&self.inner.questions.unclaimed, look).await?;
        let Answer::Now(found) = found else {
            return Err(Error::EngineSilent);
        };
        let held = Held::of(self.inner.store.all_containers());
        let described = |one: &Found| one.described(held.judge(one).err());
        let unclaimed = found.iter().map(described).collect();
        Ok(UnclaimedList { unclaimed })
    }

    /// Takes unclaimed containers into the store, as their tags say they were.
    pub async fn adopt(
        &self,
        asked: impl Into<Asked>,
        request: AdoptContainers,
    ) -> Result<Adopted, Error> {
        self.done(self.begin_adopt(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_adopt(
        &self,
        asked: Asked,
        request: AdoptContainers,
    ) -> Result<Begun<AdoptContainers>, Error> {
        admin(&asked.who, Effect::Write)?;
        let judged = async {
            let AdoptContainers { instances, all } = request.clone();
            if instances.is_empty() != all {
                return Err(Error::AdoptWhat);
            }
            if !all {
                let found = self.find_unclaimed().await?;
                known(&found, &instances)?;
            }
            let target = match &instances[..] {
                [one] => one.to_string(),
                _ => "unclaimed".to_owned(),
            };
            Ok(plan(target, Work::Adopt { instances, all }))
        };
        self.begin(asked, &request, judged).await
    }

    /// Removes an unclaimed container for good.
    pub async fn purge_unclaimed(
        &self,
        asked: impl Into<Asked>,
        request: PurgeUnclaimed,
    ) -> Result<UnclaimedPurged, Error> {
        self.done(self.begin_purge_unclaimed(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_purge_unclaimed(
        &self,
        asked: Asked,
        request: PurgeUnclaimed,
    ) -> Result<Begun<PurgeUnclaimed>, Error> {
        admin(&asked.who, Effect::Destroy)?;
        let judged = async {
            let instance = request.instance.clone();
            let found = self.find_unclaimed().await?;
            known(&found, std::slice::from_ref(&instance))?;
            Ok(plan(
                instance.to_string(),
                Work::PurgeUnclaimed { instance },
            ))
        };
        self.begin(asked, &request, judged).await
    }

    /// Finds what a change is about, as long as the engine answers.
    async fn find_unclaimed(&self) -> Result<Vec<Found>, Error> {
        self.while_it_answers(self.look_for_unclaimed()).await
    }

    /// They carry our tags, were there for their users once or run, and no row knows them.
    async fn look_for_unclaimed(&self) -> Result<Vec<Found>, containarium_incus::Error> {
        let ours = |instance: Instance| {
            let tags = Tags::of(&instance);
            let ours = tags.install == self.inner.engine.installation.id
                && !tags.id.is_empty()
                && tags.standby.is_none()
                && (tags.ready || engine::state(instance.status_code) == State::Running)
                && self.inner.store.container_by_id(&tags.id).is_none();
            ours.then(|| Found::of(&instance, tags))
        };
        let mut found = self.inner.engine.list_those(ours).await?;
        found.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(found)
    }

    /// Writes them into the store, in one transaction; says of each what stood in its way.
    async fn take_in(
        &self,
        some: &[Arc<Record>],
    ) -> Result<Vec<(Arc<Record>, Option<String>)>, StoreError> {
        let some = some.to_vec();
        let written = self.inner.store.write(move |tx| {
            some.into_iter()
                .map(|record| match tx.adopt(&record) {
                    Ok(()) => Ok((record, None)),
                    Err(StoreError::Taken(why)) => Ok((record, Some(why.to_string()))),
                    Err(other) => Err(other),
                })
                .collect()
        });
        written.await
    }
}

/// An adoption, from wherever an earlier daemon left it.
pub(crate) async fn run_adopt(
    run: &mut Run,
    instances: Vec<InstanceName>,
    all: bool,
) -> Result<(), Error> {
    run.begin(Step::Restore)?;
    let core = run.core.clone();
    let found = core.find_unclaimed().await?;
    let is_wanted =
        |one: &&Found| all || instances.iter().any(|name| name.as_str() == one.instance);
    let mut held = Held::of(core.inner.store.all_containers());
    let (mut adopted, mut refused, mut free) = (Vec::new(), Vec::new(), Vec::new());
    for one in found.iter().filter(is_wanted) {
        match held.claim(one) {
            Ok(record) => free.push(record),
            Err(obstacle) => refused.push(one.described(Some(obstacle))),
        }
    }
    // Those of the named ones that an earlier daemon took in.
    for name in &instances {
        let id = name.as_str().strip_prefix("c-").unwrap_or_default();
        if let Some(record) = core.inner.store.container_by_id(id) {
            adopted.push(record.username.clone());
        }
    }
    for some in free.chunks(AT_ONCE) {
        for (record, taken) in core.take_in(some).await? {
            match taken {
                None => {
                    let username = &record.username;
                    tracing::info!(%username, instance = record.instance(), "adopted");
                    core.follow_up(&record);
                    adopted.push(username.clone());
                }
                Some(why) => {
                    let one = found.iter().find(|one| one.instance == record.instance());
                    let why = Some(format!("somebody has what it needs: {why}"));
                    refused.extend(one.map(|one| one.described(why)));
                }
            }
        }
    }
    run.passed(Step::Restore);
    run.begin_anyway(Step::Commit);
    adopted.sort();
    let message = match (adopted.len(), refused.len()) {
        (0, 0) => "There is nothing to adopt.".to_owned(),
        (some, 0) => format!("{some} adopted."),
        (some, others) => format!("{some} adopted, {others} not: each says why."),
    };
    let answer = Adopted {
        adopted,
        refused,
        message,
    };
    run.succeed(&answer, |_| Ok(())).await?;
    core.disagree();
    Ok(())
}

/// A purge of an unclaimed container, from wherever an earlier daemon left it.
pub(crate) async fn run_purge_unclaimed(
    run: &mut Run,
    instance: InstanceName,
) -> Result<(), Error> {
    run.begin(Step::Remove)?;
    let core = run.core.clone();
    let name = String::from(instance);
    run.settled(&name).await?;
    let found = core.find_unclaimed().await?;
    if found.iter().any(|one| one.instance == name) {
        run.no_way_back();
        let removed = run.insist_on(&name, || core.inner.engine.remove(&name));
        removed.await??;
        core.inner.inventory.remove(&name);
    } else if !run.is_resumed() {
        // Adopted, while this waited for its turn.
        return Err(Error::NotUnclaimed(name));
    }
    run.passed(Step::Remove);
    run.begin_anyway(Step::Commit);
    let message = format!("{name} and everything in it is removed for good.");
    run.succeed(&UnclaimedPurged { message }, |_| Ok(())).await
}

fn plan(target: String, work: Work) -> Plan {
    Plan {
        target,
        container: None,
        owner: None,
        work,
        within: WITHIN,
        reserve: None,
        limits: Vec::new(),
    }
}

/// Refuses a name that nothing unclaimed has.
fn known(found: &[Found], names: &[InstanceName]) -> Result<(), Error> {
    let known: HashSet<&str> = found.iter().map(|one| one.instance.as_str()).collect();
    match names.iter().find(|name| !known.contains(name.as_str())) {
        Some(missing) => Err(Error::NotUnclaimed(missing.to_string())),
        None => Ok(()),
    }
}

/// An unclaimed instance, and what it would be here.
#[derive(Debug)]
pub(crate) struct Found {
    instance: String,
    tags: Tags,
    names: (Option<Username>, Option<Subject>),
    /// Or why it cannot be told.
    record: Result<Arc<Record>, String>,
}

impl Found {
    fn of(instance: &Instance, tags: Tags) -> Self {
        Self {
            instance: instance.name.clone(),
            tags,
            names: tags::names(instance),
            record: record_of(instance).map(Arc::new),
        }
    }

    fn described(&self, obstacle: Option<String>) -> Unclaimed {
        let (username, owner) = self.names.clone();
        Unclaimed {
            instance: self.instance.clone(),
            username,
            owner,
            created_at: Some(self.tags.created_at).filter(|at| *at > 0),
            deleted_until: self.tags.kept_until.map(clock::rfc3339_of),
            obstacle,
        }
    }
}

/// What each container has alone.
#[derive(Default)]
struct Held {
    names: HashMap<Username, Arc<Record>>,
    addresses: HashMap<Ipv4Addr, Arc<Record>>,
    uids: HashMap<u32, Arc<Record>>,
}

impl Held {
    fn of(records: Vec<Arc<Record>>) -> Self {
        let mut held = Self::default();
        for record in records {
            held.add(record);
        }
        held
    }

    fn add(&mut self, record: Arc<Record>) {
        if record.phase != Phase::Deleted {
            self.names
                .insert(record.username.clone(), Arc::clone(&record));
        }
        self.addresses.insert(record.address, Arc::clone(&record));
        self.uids.insert(record.uid_base, record);
    }

    /// What it would be, or what it would need and somebody else has.
    fn judge(&self, one: &Found) -> Result<Arc<Record>, String> {
        let record = one.record.clone()?;
        let held = |what: String, by: &Record| {
            let name = by.username.container_name();
            Err(format!("{what} is held by {name} (`{}`)", by.instance()))
        };
        let named = self.names.get(&record.username);
        if let Some(by) = named.filter(|_| record.phase != Phase::Deleted) {
            return held(format!("the name {}", record.username), by);
        }
        if let Some(by) = self.addresses.get(&record.address) {
            return held(format!("its address {}", record.address), by);
        }
        if let Some(by) = self.uids.get(&record.uid_base) {
            return held(
                format!("its range of user ids from {}", record.uid_base),
                by,
            );
        }
        Ok(record)
    }

    /// The same, and from now on it holds that itself.
    fn claim(&mut self, one: &Found) -> Result<Arc<Record>, String> {
        let record = self.judge(one)?;
        self.add(Arc::clone(&record));
        Ok(record)
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
pub(crate) fn admin(who: &Principal, effect: Effect) -> Result<(), Error> {
    match decide_admin(who, effect) {
        Decision::Allow => Ok(()),
        Decision::Forbid | Decision::Hide if !who.is(Role::Admin) => Err(Error::Forbidden),
        Decision::Forbid | Decision::Hide => Err(refusal_shared(who, effect)),
    }
}
