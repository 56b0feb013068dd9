//! One row for every operation, from before it begins until a week after it ended.

use containarium_contract::{
    Event, Face, ListOperations, Operation, OperationId, OperationKind, OperationState,
    OperationStep, StepState, Subject, Target, Username, UsernamePattern,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Request, Store, StoreError, Tx,
    containers::{globs, named},
    keys, sound,
};
use crate::{clock, fault::Fault, step::Step, work::Work};

/// An operation, as the store knows it. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Op {
    pub(crate) id: OperationId,
    /// A username, or an image.
    pub(crate) target: String,
    /// The container's id, where it is about one.
    pub(crate) container: Option<String>,
    /// Who beside its actor may see it; `None`: admins.
    pub(crate) owner: Option<Subject>,
    pub(crate) actor: Subject,
    pub(crate) cause: String,
    pub(crate) state: OperationState,
    pub(crate) work: Work,
    pub(crate) steps: Vec<StepRecord>,
    pub(crate) attempt: u32,
    pub(crate) deadline: u64,
    pub(crate) error: Option<Fault>,
    pub(crate) result: Option<Value>,
    pub(crate) created_at: u64,
    /// When its turn came first.
    pub(crate) started_at: Option<u64>,
    pub(crate) updated_at: u64,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    pub(crate) step: Step,
    pub(crate) state: StepState,
    pub(crate) started_at: Option<u64>,
    pub(crate) ended_at: Option<u64>,
    pub(crate) doing: Option<String>,
    pub(crate) progress: Option<u8>,
    /// How long it waited for its turn before it was started, in milliseconds.
    #[serde(default)]
    pub(crate) waited: u64,
}

impl StepRecord {
    pub(crate) fn pending(step: Step) -> Self {
        Self {
            step,
            state: StepState::Pending,
            started_at: None,
            ended_at: None,
            doing: None,
            progress: None,
            waited: 0,
        }
    }

    /// How long it took, once it has ended.
    pub(crate) fn took(&self) -> Option<u64> {
        let started = self.started_at?;
        self.ended_at.map(|ended| ended.saturating_sub(started))
    }
}

impl Op {
    pub(crate) fn kind(&self) -> OperationKind {
        self.work.kind()
    }

    /// Those of one name are done one at a time.
    pub(crate) fn turn(&self) -> &str {
        match self.kind() {
            // What is purged is not to be adopted meanwhile. No username has a colon.
            OperationKind::Adopt | OperationKind::PurgeUnclaimed => "unclaimed:",
            OperationKind::Create
            | OperationKind::Delete
            | OperationKind::Undelete
            | OperationKind::Purge
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::AddSshKey
            | OperationKind::RemoveSshKey
            | OperationKind::PrepareImage
            | OperationKind::DeleteImage => &self.target,
        }
    }

    /// It is to be done in this way; steps that were done, or tried, stay.
    pub(crate) fn plan(&mut self, work: Work) {
        let kept = self.steps.drain(..);
        let mut steps: Vec<_> = kept
            .filter(|step| step.state != StepState::Pending)
            .collect();
        for step in &mut steps {
            if step.state == StepState::Running {
                step.state = StepState::Failed;
                step.ended_at = Some(clock::now_ms());
            }
        }
        for step in work.steps() {
            if steps.iter().all(|known| known.step != step) {
                steps.push(StepRecord::pending(step));
            }
        }
        self.steps = steps;
        self.work = work;
    }

    /// A step of it begins, again or at first.
    pub(crate) fn begins(&mut self, step: Step, now: u64) {
        if let Some(known) = self.steps.iter_mut().find(|known| known.step == step) {
            known.state = StepState::Running;
            known.started_at = Some(now);
            known.ended_at = None;
        }
    }

    /// The turn of a step came after that many milliseconds: it begins now.
    pub(crate) fn waited(&mut self, step: Step, waited: u64, now: u64) {
        if let Some(known) = self.steps.iter_mut().find(|known| known.step == step) {
            known.waited += waited;
            known.started_at = Some(now);
            known.doing = None;
        }
    }

    /// A step of it is done.
    pub(crate) fn passed(&mut self, step: Step, now: u64) {
        if let Some(known) = self.steps.iter_mut().find(|known| known.step == step) {
            known.state = StepState::Succeeded;
            known.started_at.get_or_insert(now);
            known.ended_at = Some(now);
            known.progress = None;
            known.doing = None;
        }
    }

    /// How long it waited for its turns, once the first has come.
    fn queued(&self) -> Option<u64> {
        let started = self.started_at?;
        let later: u64 = self.steps.iter().map(|step| step.waited).sum();
        Some(started.saturating_sub(self.created_at) + later)
    }

    /// How long it took in all, once it is over: nothing changes it then.
    pub(crate) fn took(&self) -> Option<u64> {
        let took = self.updated_at.saturating_sub(self.created_at);
        self.state.is_final().then_some(took)
    }

    /// The steps that are done.
    pub(crate) fn steps_done(&self) -> impl Iterator<Item = Step> {
        let done = self.steps.iter();
        done.filter(|known| known.state == StepState::Succeeded)
            .map(|known| known.step)
    }

    /// How much of it is done, 0 to 100.
    fn progress(&self) -> u8 {
        if self.state == OperationState::Succeeded {
            return 100;
        }
        let done: u32 = self
            .steps
            .iter()
            .map(|step| match step.state {
                StepState::Succeeded => 100,
                StepState::Running | StepState::Failed => {
                    u32::from(step.progress.unwrap_or(0).min(100))
                }
                StepState::Pending => 0,
            })
            .sum();
        let all = u32::try_from(self.steps.len()).unwrap_or(1).max(1);
        u8::try_from(done / all).unwrap_or(100).min(99)
    }

    /// As it is shown to whoever speaks through `face`.
    pub(crate) fn view(&self, face: Face) -> Operation {
        let step = |record: &StepRecord| OperationStep {
            name: record.step.as_str().to_owned(),
            state: record.state,
            started_at: record.started_at.map(clock::rfc3339),
            ended_at: record.ended_at.map(clock::rfc3339),
            duration_ms: record.took(),
            doing: record.doing.clone(),
            progress: record.progress,
        };
        let error = self.error.as_ref();
        Operation {
            id: self.id.clone(),
            kind: self.kind(),
            target: self.target.clone(),
            state: self.state,
            steps: self.steps.iter().map(step).collect(),
            progress: self.progress(),
            attempt: self.attempt,
            deadline: clock::rfc3339(self.deadline),
            cause: self.cause.clone(),
            actor: self.actor.clone(),
            error: error.map(|fault| fault.problem(face, self.id.as_str())),
            result: self.result.clone(),
            created_at: clock::rfc3339(self.created_at),
            updated_at: clock::rfc3339(self.updated_at),
            queued_ms: self.queued(),
            duration_ms: self.took(),
        }
    }
}

const COLUMNS: &str = "id, target, container, owner, actor, cause, state, work, steps, attempt, \
                       deadline, error, result, created_at, updated_at, kind, started_at";

impl Tx<'_> {
    /// The operation that this request began already.
    pub(crate) fn begun_by(
        &self,
        request: Option<&Request>,
        now: u64,
    ) -> Result<Option<OperationId>, StoreError> {
        request.map_or(Ok(None), |request| keys::known(&self.tx, request, now))
    }

    /// The operation that a request joins, which another began; unless its key has one already. Its key
    /// names that one from now on.
    pub(crate) fn join(
        &mut self,
        request: Option<&Request>,
        id: OperationId,
        now: u64,
    ) -> Result<OperationId, StoreError> {
        let Some(request) = request else {
            return Ok(id);
        };
        if let Some(known) = self.begun_by(Some(request), now)? {
            return Ok(known);
        }
        self.remember(request, &id, now)?;
        Ok(id)
    }

    /// The creates of this name that are not over.
    pub(crate) fn creates_of(&self, username: &Username) -> Result<Vec<Op>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM operations
             WHERE target = ?1 AND kind = 'create' AND state IN ('queued', 'running', 'cancelling')"
        );
        all(&self.tx, &sql, [username.as_str()])
    }

    /// Writes a new operation down.
    pub(crate) fn insert(&mut self, op: &Op, request: Option<&Request>) -> Result<(), StoreError> {
        if let Some(request) = request {
            self.remember(request, &op.id, op.created_at / 1000)?;
        }
        let sql = format!(
            "INSERT INTO operations ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        );
        self.set(op, &sql)
    }

    /// Writes down how far an operation is.
    pub(crate) fn put(&mut self, op: &Op) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT OR REPLACE INTO operations ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        );
        self.set(op, &sql)
    }

    /// Writes down that somebody asked to cancel it, if it is not over.
    pub(crate) fn mark_cancelling(&mut self, id: &OperationId, now: u64) -> Result<(), StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM operations WHERE id = ?1");
        let found = self
            .tx
            .query_row(&sql, [id.as_str()], |row| Ok(read(row)))
            .optional()?
            .transpose()?;
        match found {
            Some(op) if op.state.may_become(OperationState::Cancelling) => self.put(&Op {
                state: OperationState::Cancelling,
                updated_at: now,
                ..op
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn set(&mut self, op: &Op, sql: &str) -> Result<(), StoreError> {
        self.tx.prepare_cached(sql)?.execute(params![
            op.id.as_str(),
            op.target,
            op.container,
            op.owner.as_ref().map(Subject::as_str),
            op.actor.as_str(),
            op.cause,
            op.state.as_str(),
            json(&op.work)?,
            json(&op.steps)?,
            op.attempt,
            op.deadline,
            op.error.as_ref().map(json).transpose()?,
            op.result.as_ref().map(json).transpose()?,
            op.created_at,
            op.updated_at,
            op.kind().as_str(),
            op.started_at,
        ])?;
        let told = Event::Operation {
            operation: Box::new(op.view(Face::Rest)),
        };
        self.tell(&op.target, op.owner.as_ref(), &told, op.updated_at / 1000)
    }
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| unreadable(&e))
}

impl Store {
    /// The operation with this id.
    pub(crate) async fn operation(&self, id: OperationId) -> Result<Option<Op>, StoreError> {
        self.run(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM operations WHERE id = ?1");
            let mut query = db.prepare_cached(&sql)?;
            query
                .query_row([id.as_str()], |row| Ok(read(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    /// Those that are not over, the oldest first.
    pub(crate) async fn unfinished(&self) -> Result<Vec<Op>, StoreError> {
        self.run(|db| {
            all(
                db,
                &format!(
                    "SELECT {COLUMNS} FROM operations
                     WHERE state IN ('queued', 'running', 'cancelling') ORDER BY id"
                ),
                [],
            )
        })
        .await
    }

    /// Those that fit, the youngest first. Of `owner` alone, where that is given, and about containers
    /// that each of `only` names, where there are any; one more than the limit, where there are more.
    pub(crate) async fn operations(
        &self,
        sought: ListOperations,
        owner: Option<Subject>,
        only: Vec<Vec<UsernamePattern>>,
    ) -> Result<Vec<Op>, StoreError> {
        self.run(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM operations
                 WHERE (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR state = ?2)
                   AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR target = ?4)
                   AND (?5 IS NULL OR id < ?5)
                   AND (?7 = '[]' OR owner IS NOT NULL AND {})
                 ORDER BY id DESC LIMIT ?6",
                named("target", 7)
            );
            all(
                db,
                &sql,
                params![
                    owner.as_ref().map(Subject::as_str),
                    sought.state.map(OperationState::as_str),
                    sought.kind.map(OperationKind::as_str),
                    sought.target.as_ref().map(Target::as_str),
                    sought.cursor.as_ref().map(OperationId::as_str),
                    sought.limit.map_or(-1, |limit| i64::from(limit.get()) + 1),
                    globs(&only)?,
                ],
            )
        })
        .await
    }
}

/// Reads every row, and keeps none.
pub(super) fn read_all(db: &Connection) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM operations");
    sound::every(db, "operation", &sql, |row| read(row).map(drop))
}

fn all(db: &Connection, sql: &str, with: impl rusqlite::Params) -> Result<Vec<Op>, StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(with, |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

fn read(row: &Row<'_>) -> Result<Op, StoreError> {
    let text = |name: &str| row.get::<_, String>(name);
    let maybe = |name: &str| row.get::<_, Option<String>>(name);
    let state = text("state")?;
    let state = OperationState::ALL
        .into_iter()
        .find(|known| known.as_str() == state);
    let error = maybe("error")?.map(|text| serde_json::from_str(&text));
    let result = maybe("result")?.map(|text| serde_json::from_str(&text));
    let owner = maybe("owner")?.map(|text| text.parse());
    Ok(Op {
        id: text("id")?.parse().map_err(|e| unreadable(&e))?,
        target: text("target")?,
        container: maybe("container")?,
        owner: owner.transpose().map_err(|e| unreadable(&e))?,
        actor: text("actor")?.parse().map_err(|e| unreadable(&e))?,
        cause: text("cause")?,
        state: state.ok_or_else(|| StoreError::Unreadable("an operation's state".into()))?,
        work: serde_json::from_str(&text("work")?).map_err(|e| unreadable(&e))?,
        steps: serde_json::from_str(&text("steps")?).map_err(|e| unreadable(&e))?,
        attempt: row.get("attempt")?,
        deadline: row.get("deadline")?,
        error: error.transpose().map_err(|e| unreadable(&e))?,
        result: result.transpose().map_err(|e| unreadable(&e))?,
        created_at: row.get("created_at")?,
        started_at: row.get("started_at")?,
        updated_at: row.get("updated_at")?,
    })
}

pub(super) fn unreadable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
