//! Operations: begun at once, ended late, forgotten 5 s after their end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answer::{Answer, Refusal};
use crate::fault::Fault;
use crate::sim::Shared;
use crate::world::{World, text, time, url};

/// How long incusd keeps the record of an operation that has ended.
const KEPT: Duration = Duration::from_millis(5050);

type Outcome = Result<(), Refusal>;

/// What is known of an operation.
pub(crate) struct Record {
    id: String,
    description: &'static str,
    project: String,
    resources: Value,
    metadata: Value,
    begun: SystemTime,
    ended: watch::Sender<Option<Outcome>>,
}

/// A step of an operation: the word with which its instance is busy meanwhile, and what it does.
pub(crate) type Step = (&'static str, Box<dyn FnOnce(&mut World) -> Outcome + Send>);

/// The word of a step that keeps nobody else from its instance.
pub(crate) const NOT_BUSY: &str = "";

impl Record {
    pub(crate) fn is_of(&self, project: &str) -> bool {
        self.project == project
    }

    pub(crate) fn json(&self) -> Value {
        match &*self.ended.borrow() {
            None => self.json_as("Running", 103, ""),
            Some(Ok(())) => self.json_as("Success", 200, ""),
            Some(Err(refusal)) => self.json_as("Failure", 400, &refusal.text),
        }
    }

    fn json_as(&self, status: &str, code: u16, err: &str) -> Value {
        json!({"id": self.id, "class": "task", "description": self.description, "status": status,
            "status_code": code, "resources": self.resources, "metadata": self.metadata,
            "may_cancel": false, "err": err, "location": "none",
            "created_at": time(self.begun), "updated_at": time(self.begun)})
    }
}

/// What an operation does and to which instance.
pub(crate) struct Work {
    pub(crate) description: &'static str,
    pub(crate) project: String,
    /// Empty where it is about no instance.
    pub(crate) name: String,
    /// What is told of the instance as soon as it begins.
    pub(crate) first: Option<&'static str>,
    /// What is already known: a failure here is told late, and the steps are not taken.
    pub(crate) so_far: Outcome,
    pub(crate) steps: Vec<Step>,
}

impl Work {
    /// Makes the work fail as wanted.
    pub(crate) fn with(mut self, fault: Option<Fault>) -> Self {
        if let Some(Fault::FailLate { code, text }) = fault {
            self.so_far = Err(Refusal::new(code, text));
        }
        self
    }
}

/// Begins an operation and answers with its record; the rest goes on by itself.
pub(crate) fn begin(shared: &Arc<Shared>, work: Work) -> Answer {
    begin_telling(shared, work, Value::Null)
}

/// The same for one that tells something.
pub(crate) fn begin_telling(shared: &Arc<Shared>, work: Work, metadata: Value) -> Answer {
    let mut world = shared.world();
    let id = format!("51000000-0000-4000-8000-{:012x}", world.next());
    let record = Record {
        id: id.clone(),
        description: work.description,
        project: work.project.clone(),
        resources: match work.name.as_str() {
            "" => Value::Null,
            name => json!({"instances": [url(&work.project, name)]}),
        },
        metadata,
        begun: SystemTime::now(),
        ended: watch::Sender::new(None),
    };
    let json = record.json();
    world.operates(&work.project, record.json_as("Pending", 105, ""));
    world.operates(&work.project, json.clone());
    world.operations.insert(id.clone(), record);
    if work.so_far.is_ok()
        && let Some((word, _)) = work.steps.first()
        && let Ok(instance) = world.instance_mut(&work.project, &work.name)
    {
        if *word != NOT_BUSY {
            instance.busy = Some(word);
        }
        if let Some(action) = work.first {
            world.happened(action, &work.project, &work.name);
        }
    }
    let own = world.latency_of.get(&work.name).copied();
    let latency = own.unwrap_or(world.latency);
    let life = world.life;
    drop(world);
    let shared = shared.clone();
    tokio::spawn(async move {
        let Work {
            project,
            name,
            so_far: mut outcome,
            steps,
            ..
        } = work;
        let held = outcome.is_ok() && steps.iter().all(|(word, _)| *word != NOT_BUSY);
        for (word, step) in steps {
            if outcome.is_err() {
                break;
            }
            {
                let Some(mut world) = shared.world_of(life) else {
                    return;
                };
                if word != NOT_BUSY
                    && let Ok(instance) = world.instance_mut(&project, &name)
                {
                    instance.busy = Some(word);
                }
            }
            tokio::time::sleep(latency).await;
            shared.awake().await;
            {
                let Some(mut world) = shared.world_of(life) else {
                    return;
                };
                outcome = step(&mut world);
            }
            let ended = std::mem::take(&mut shared.world().ended);
            for guest in ended {
                guest.end().await;
            }
        }
        {
            let Some(mut world) = shared.world_of(life) else {
                return;
            };
            if held && let Ok(instance) = world.instance_mut(&project, &name) {
                instance.busy = None;
            }
            if let Some(record) = world.operations.get(&id) {
                record.ended.send_replace(Some(outcome));
                world.operates(&project, record.json());
            }
        }
        tokio::time::sleep(KEPT).await;
        shared.world().operations.remove(&id);
    });
    Answer::Async(json)
}

/// The record of an operation.
pub(crate) fn get(shared: &Shared, id: &str) -> Result<Answer, Refusal> {
    let world = shared.world();
    world
        .operations
        .get(id)
        .map(|record| Answer::Sync(record.json()))
        .ok_or_else(gone)
}

/// Waits for the end of an operation; without a timeout for ever.
pub(crate) async fn wait(
    shared: &Shared,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Answer, Refusal> {
    let mut ended = {
        let world = shared.world();
        world.operations.get(id).ok_or_else(gone)?.ended.subscribe()
    };
    let end = async {
        // The sender goes when the record does.
        let outcome = ended
            .wait_for(Option::is_some)
            .await
            .map_err(|_forgotten| gone())?;
        Ok(outcome.clone())
    };
    let outcome = match timeout {
        None => end.await?,
        Some(timeout) => match tokio::time::timeout(timeout, end).await {
            Ok(outcome) => outcome?,
            Err(_elapsed) => {
                return Ok(Answer::Late(Refusal::new(500, "context deadline exceeded")));
            }
        },
    };
    match outcome {
        Some(Err(refusal)) => Ok(Answer::Late(refusal)),
        Some(Ok(())) | None => get(shared, id),
    }
}

/// Returns when an operation that was begun has ended.
pub(crate) async fn ended(shared: &Shared, operation: &Value) {
    let ended = {
        let world = shared.world();
        let record = world.operations.get(text(operation, "id"));
        record.map(|record| record.ended.subscribe())
    };
    if let Some(mut ended) = ended {
        let _forgotten = ended.wait_for(Option::is_some).await;
    }
}

fn gone() -> Refusal {
    Refusal::new(404, "Operation not found")
}
