//! Bringing back a deleted container, as it was.

use std::{sync::Arc, time::Duration};

use containarium_contract::{ContainerChanged, Effect, State, UndeleteContainer};

use crate::{
    Asked, Begun, Containarium, Decision, Error, Principal, Record, StoreError,
    access::decide,
    clock,
    operations::{Plan, Run},
    step::Step,
    store::Phase,
    work::Work,
};

/// How long it may take, engine away and all.
const WITHIN: Duration = Duration::from_secs(5 * 60);

impl Containarium {
    /// Brings back a deleted container of that name.
    pub async fn undelete(
        &self,
        asked: impl Into<Asked>,
        request: UndeleteContainer,
    ) -> Result<ContainerChanged, Error> {
        self.done(self.begin_undelete(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_undelete(
        &self,
        asked: Asked,
        request: UndeleteContainer,
    ) -> Result<Begun<UndeleteContainer>, Error> {
        let who = asked.who.clone();
        let judged = async {
            let record = self.kept(&who, &request)?;
            if let Some(now) = self.inner.store.container(&request.username) {
                let seen = decide(&who, Effect::Read, &now.owner, &now.username);
                let seen = seen == Decision::Allow;
                // Somebody else's is taken, too, but no way out of that is this caller's.
                return Err(if seen {
                    name_taken_again(&record)
                } else {
                    Error::NameTaken(request.username.clone())
                });
            }
            self.engine_answers()?;
            let start = record.running;
            Ok(Plan {
                limits: who.limits(),
                ..Plan::about(&record, Work::Undelete { start }, WITHIN)
            })
        };
        self.begin(asked, &request, judged).await
    }

    /// The one that is meant, of those that `who` may bring back.
    fn kept(&self, who: &Principal, ask: &UndeleteContainer) -> Result<Arc<Record>, Error> {
        let UndeleteContainer { username, id } = ask;
        let all = self.inner.store.all_containers();
        let mut theirs = all.into_iter().filter(|record| {
            record.phase == Phase::Deleted
                && record.username == *username
                && decide(who, Effect::Write, &record.owner, username) == Decision::Allow
        });
        if let Some(id) = id {
            let named = theirs.find(|record| record.id == id.as_str());
            return named.ok_or_else(|| Error::NotKept {
                username: username.clone(),
                id: id.clone(),
            });
        }
        let last = theirs.max_by_key(|record| (record.kept_until, record.id.clone()));
        last.ok_or_else(|| Error::NothingDeleted(username.clone()))
    }
}

/// An undelete, from wherever an earlier daemon left it.
pub(crate) async fn run(run: &mut Run, start: bool) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.record().ok_or_else(|| nothing_deleted(run))?;
    let until = record.kept_until;
    if record.phase == Phase::Deleted {
        run.begin(Step::Restore)?;
        let (id, now) = (record.id.clone(), clock::now());
        let restored = run.done(Step::Restore, move |tx| {
            tx.set_phase(&id, Phase::Ready, now)?;
            tx.set_running(&id, false)
        });
        match restored.await {
            Err(Error::Store(StoreError::Taken(_))) => {
                return Err(name_taken_again(&record));
            }
            other => other?,
        }
    }
    let record = run.known_record()?;
    match come_back(run, &record, start).await {
        Err(Error::Cancelled) => {
            let until = until.unwrap_or_else(|| clock::now() + core.retention());
            put_away(run, &record, start, until).await?;
            Err(Error::Cancelled)
        }
        other => other,
    }
}

/// What is done once it has its name again.
async fn come_back(run: &mut Run, record: &Arc<Record>, start: bool) -> Result<(), Error> {
    let core = run.core.clone();
    let instance = record.instance();
    let marked = run.insist_on(&instance, || core.mark(record)).await?;
    marked.map_err(|e| core.failed_in("undelete", record, Step::Restore, e, String::new()))?;
    let name = record.username.container_name();
    let (state, message) = if start {
        let grown = crate::power::bring_up(run, "undelete", record, None).await?;
        (
            State::Running,
            format!("{name} is back, and running as it was.{grown}"),
        )
    } else {
        (
            State::Stopped,
            format!("{name} is back, and stopped as it was."),
        )
    };
    run.begin_anyway(Step::Commit);
    let answer = core.changed(record, state, message);
    let record = Arc::clone(record);
    run.succeed(&answer, move |tx| {
        tx.set_running(&record.id, start)?;
        tx.tell_state(&record, state, None)
    })
    .await
}

/// Somebody cancelled it: it is deleted again, as it was.
async fn put_away(run: &mut Run, record: &Record, ran: bool, until: u64) -> Result<(), Error> {
    let core = run.core.clone();
    run.no_way_back();
    let kept = Record {
        kept_until: Some(until),
        ..record.clone()
    };
    // First what the engine has: with a row alone that says so, it would be taken for brought back.
    let marked = run
        .insist_on(&record.instance(), || core.mark(&kept))
        .await?;
    marked.map_err(|e| core.failed_in("undelete", record, Step::Restore, e, String::new()))?;
    run.note(move |tx| {
        tx.keep(&kept.id, until, clock::now())?;
        tx.set_running(&kept.id, ran)
    })
    .await
}

fn name_taken_again(kept: &Record) -> Error {
    Error::NameTakenAgain {
        username: kept.username.clone(),
        id: kept.id.clone(),
    }
}

fn nothing_deleted(run: &Run) -> Error {
    match run.op().target.parse() {
        Ok(username) => Error::NothingDeleted(username),
        Err(_) => Error::NoOperation(run.op().id.clone()),
    }
}
