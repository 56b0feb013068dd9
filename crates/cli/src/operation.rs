//! `containarium operation`: what is under way, and what was.

use std::{num::NonZeroU32, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use containarium_client::{Client, doing};
use containarium_contract::{
    CancelOperation, GetOperation, ListOperations, Operation as View, OperationAnswer, OperationId,
    OperationKind, OperationList, OperationState, StepState, Target,
};

use crate::{
    failure::{Exit, Failure},
    output::Format,
    progress,
    table::{self, UNKNOWN},
};

/// See what is under way and what was; wait for it, cancel it
///
/// Every change is an operation, which goes on when its caller goes away and when the daemon is
/// restarted. Those that ended are kept for 7 days.
#[derive(Debug, Args)]
pub(crate) struct Operation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Get(Get),
    Wait(Wait),
    Cancel(Cancel),
}

/// List operations, the youngest first
#[derive(Debug, Args)]
struct List {
    /// Only those in this state
    #[arg(long, value_parser = states())]
    state: Option<OperationState>,
    /// Only those of this kind
    #[arg(long, value_parser = kinds())]
    kind: Option<OperationKind>,
    /// Only those on this username or image
    #[arg(long)]
    target: Option<Target>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Show one operation and its steps
#[derive(Debug, Args)]
struct Get {
    /// Which operation
    id: OperationId,
}

/// Wait until an operation is over; ends as the command that began it would have
#[derive(Debug, Args)]
struct Wait {
    /// Which operation
    id: OperationId,
    /// How long to wait, such as 30s or 10m
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Cancel an operation: what it has begun is undone
#[derive(Debug, Args)]
struct Cancel {
    /// Which operation
    id: OperationId,
}

fn states() -> impl TypedValueParser<Value = OperationState> {
    PossibleValuesParser::new(OperationState::ALL.map(OperationState::as_str)).try_map(|text| {
        OperationState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or("there is no such state")
    })
}

fn kinds() -> impl TypedValueParser<Value = OperationKind> {
    PossibleValuesParser::new(OperationKind::ALL.map(OperationKind::as_str)).try_map(|text| {
        OperationKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or("there is no such kind")
    })
}

impl From<List> for ListOperations {
    fn from(
        List {
            state,
            kind,
            target,
            limit,
        }: List,
    ) -> Self {
        Self {
            state,
            kind,
            target,
            limit: limit.and_then(NonZeroU32::new),
            cursor: None,
        }
    }
}

impl Operation {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        match self.verb {
            Verb::List(list) => {
                let list = client.call(&ListOperations::from(list)).await?;
                output.print(&list, drawn)
            }
            Verb::Get(Get { id }) => {
                let answer = client.call(&GetOperation { id }).await?;
                output.print(&answer, |answer| shown(&answer.operation))
            }
            Verb::Wait(Wait { id, timeout }) => {
                let begun = client.call(&GetOperation { id }).await?.operation;
                let operation = progress::watched(client, begun, timeout).await?;
                ended(client, operation, timeout, output)
            }
            Verb::Cancel(Cancel { id }) => {
                let answer = client.call(&CancelOperation { id }).await?;
                output.print(&answer, |answer| cancelled(&answer.operation))
            }
        }
    }
}

/// Tells of an operation that was waited for. Programs get it whole, however it ended.
fn ended(
    client: &Client,
    operation: View,
    waited: Duration,
    output: Format,
) -> Result<(), Failure> {
    if !operation.state.is_final() {
        let waited = humantime::format_duration(waited);
        let sentence = format!("{} is not over after {waited}", about(&operation));
        return Err(Failure::new(Exit::Other, sentence).with_hint(format!(
            "see how far it is: `containarium operation get {}`",
            operation.id
        )));
    }
    let outcome = client.result_of(operation.clone());
    let for_people = output == Format::Table;
    if outcome.is_ok() || !for_people {
        output.print(&OperationAnswer { operation }, |answer| {
            let message = answer
                .operation
                .result
                .as_ref()
                .and_then(|r| r.get("message"));
            let message = message.and_then(|message| message.as_str());
            message.map_or_else(
                || format!("{} is done", about(&answer.operation)),
                str::to_owned,
            )
        })?;
    }
    outcome.map(drop).map_err(Failure::from)
}

/// What is told of an operation that goes on without the command.
pub(crate) fn begun(operation: &View) -> String {
    let (about, id) = (about(operation), &operation.id);
    format!("{about}: operation {id}\nfollow it:  containarium operation wait {id}")
}

fn about(operation: &View) -> String {
    let kind = operation.kind.as_str().replace('_', " ");
    format!("{kind} of {}", operation.target)
}

fn cancelled(operation: &View) -> String {
    let about = about(operation);
    if operation.state.is_final() {
        return format!("{about} is {}", operation.state.as_str());
    }
    format!(
        "{about} is being undone\nfollow it:  containarium operation wait {}",
        operation.id
    )
}

/// What it does now, or why it does no more.
fn detail(operation: &View) -> Option<String> {
    let why = operation
        .error
        .as_ref()
        .map(|problem| problem.error.clone());
    doing(operation).or(why)
}

fn drawn(list: &OperationList) -> String {
    let headings = ["ID", "KIND", "TARGET", "STATE", "BEGUN", "BY", "DETAIL"];
    let rows = list.operations.iter().map(|operation| {
        let detail = detail(operation).unwrap_or_else(|| UNKNOWN.to_owned());
        [
            operation.id.to_string(),
            operation.kind.as_str().to_owned(),
            operation.target.clone(),
            operation.state.as_str().to_owned(),
            operation.created_at.clone(),
            operation.actor.to_string(),
            table::plain(&detail),
        ]
    });
    table::columns(headings, rows)
}

fn shown(operation: &View) -> String {
    let error = operation.error.as_ref();
    let attempt = (operation.attempt > 1).then(|| operation.attempt.to_string());
    let is_over = operation.state.is_final();
    let facts = table::facts([
        ("Operation", Some(operation.id.to_string())),
        ("Kind", Some(operation.kind.as_str().to_owned())),
        ("Target", Some(operation.target.clone())),
        (
            "State",
            Some(format!(
                "{}, {} %",
                operation.state.as_str(),
                operation.progress
            )),
        ),
        ("Doing", doing(operation)),
        ("Error", error.map(|problem| table::plain(&problem.error))),
        ("Hint", error.and_then(|problem| problem.hint.clone())),
        ("Cause", Some(operation.cause.clone())),
        ("By", Some(operation.actor.to_string())),
        ("Begun", Some(operation.created_at.clone())),
        ("Last change", Some(operation.updated_at.clone())),
        (
            "Given up at",
            Some(operation.deadline.clone()).filter(|_| !is_over),
        ),
        ("Waited", operation.queued_ms.map(milliseconds)),
        ("Took", operation.duration_ms.map(milliseconds)),
        ("Attempt", attempt),
    ]);
    if operation.steps.is_empty() {
        return facts;
    }
    let time = |at: &Option<String>| at.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let rows = operation.steps.iter().map(|step| {
        let state = match step.state {
            StepState::Pending => "pending",
            StepState::Running => "running",
            StepState::Succeeded => "succeeded",
            StepState::Failed => "failed",
        };
        [
            step.name.clone(),
            state.to_owned(),
            time(&step.started_at),
            time(&step.ended_at),
            step.duration_ms
                .map_or_else(|| UNKNOWN.to_owned(), milliseconds),
        ]
    });
    let steps = table::columns(["STEP", "STATE", "BEGUN", "ENDED", "TOOK"], rows);
    format!("{facts}\n\n{steps}")
}

fn milliseconds(milliseconds: u64) -> String {
    format!("{milliseconds}ms")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };
    use serde_json::{Value, json};

    const ID: &str = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC";

    /// A create of alice in this state, with these fields otherwise.
    pub(crate) fn operation(state: &str, changes: Value) -> View {
        let mut operation = json!({
            "id": ID, "kind": "create", "target": "alice", "state": state, "steps": [],
            "progress": 40, "attempt": 1, "deadline": "2026-11-21T11:00:00Z",
            "cause": "a request by cli", "actor": "carol",
            "createdAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T10:00:02Z"
        });
        let Value::Object(changes) = changes else {
            panic!("{changes}")
        };
        operation.as_object_mut().unwrap().extend(changes);
        serde_json::from_value(operation).unwrap()
    }

    fn verb(line: &str) -> Verb {
        let Command::Operation(operation) = parsed(line) else {
            panic!("{line}")
        };
        operation.verb
    }

    fn list(line: &str) -> ListOperations {
        let Verb::List(list) = verb(line) else {
            panic!("{line}")
        };
        list.into()
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        assert_eq!(list("operation list"), ListOperations::default());
        let line = "operation list --state failed --kind add_ssh_key --target alice --limit 5";
        let wanted =
            json!({"state": "failed", "kind": "add_ssh_key", "target": "alice", "limit": 5});
        assert_eq!(list(line), serde_json::from_value(wanted).unwrap());
        for verb_of_one in ["get", "wait", "cancel"] {
            verb(&format!("operation {verb_of_one} {ID}"));
            let bad = refused(&format!("operation {verb_of_one} 17"));
            assert!(bad.contains("26 digits and capital letters"), "{bad}");
        }
        assert!(refused("operation list --state up").contains("[possible values: queued,"));
        let Verb::Wait(wait) = verb(&format!("operation wait {ID} --timeout 90s")) else {
            panic!()
        };
        assert_eq!(wait.timeout.as_secs(), 90);
    }

    fn failed() -> View {
        let steps = json!([
            {"name": "claim", "state": "succeeded", "startedAt": "2026-11-21T10:00:00Z",
             "endedAt": "2026-11-21T10:00:01Z", "durationMs": 1000},
            {"name": "boot", "state": "failed", "startedAt": "2026-11-21T10:00:01Z",
             "endedAt": "2026-11-21T10:00:02Z", "durationMs": 1000},
            {"name": "commit", "state": "pending"}
        ]);
        let error = json!({"error": "it did not boot:\u{1b}[31m panic", "code": 500, "reason": "internal",
                           "hint": "run `containarium doctor`"});
        operation(
            "failed",
            json!({"steps": steps, "error": error, "attempt": 2, "queuedMs": 7, "durationMs": 2000}),
        )
    }

    #[test]
    fn operations_are_drawn_like_this() {
        let step = json!([{"name": "prepare_image", "state": "running",
                           "doing": "downloading images:debian/13", "progress": 40}]);
        let operations = vec![
            operation("running", json!({ "steps": step })),
            failed(),
            operation("succeeded", json!({"kind": "stop"})),
        ];
        let list = OperationList {
            operations,
            next_cursor: None,
        };
        insta::assert_snapshot!(drawn(&list));
    }

    #[test]
    fn one_is_drawn_like_this() {
        insta::assert_snapshot!(shown(&failed()));
    }

    #[test]
    fn what_is_told_of_it_names_the_command_that_follows_it() {
        let follow = format!("follow it:  containarium operation wait {ID}");
        let running = operation("running", json!({}));
        assert_eq!(
            begun(&running),
            format!("create of alice: operation {ID}\n{follow}")
        );
        parsed(&format!("operation wait {ID}"));
        let cancelling = operation("cancelling", json!({}));
        assert_eq!(
            cancelled(&cancelling),
            format!("create of alice is being undone\n{follow}")
        );
        let over = operation("cancelled", json!({}));
        assert_eq!(cancelled(&over), "create of alice is cancelled");
    }
}
