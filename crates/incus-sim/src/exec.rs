//! Commands in instances. Nothing is executed: in an instance that runs every command succeeds at once.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Asked, Refusal};
use crate::fault::Fault;
use crate::instance::Status;
use crate::operation::{NOT_BUSY, Work, begin_telling};
use crate::sim::Shared;

#[derive(Deserialize)]
struct Post {
    command: Vec<String>,
}

/// `POST /1.0/instances/NAME/exec`.
pub(crate) fn post(
    shared: &Arc<Shared>,
    asked: &Asked,
    name: &str,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    let (project, post) = (asked.project(), asked.json::<Post>()?);
    if post.command.is_empty() {
        return Err(Refusal::new(400, "No command"));
    }
    match shared.world().instance(&project, name)?.status {
        Status::Running => {}
        Status::Frozen => return Err(Refusal::new(400, "Instance is frozen")),
        Status::Stopped => return Err(Refusal::new(400, "Instance is not running")),
    }
    let work = Work {
        description: "Executing command",
        project,
        name: name.to_owned(),
        first: None,
        so_far: Ok(()),
        steps: vec![(NOT_BUSY, Box::new(|_| Ok(())))],
    };
    Ok(begin_telling(
        shared,
        work.with(fault),
        json!({ "return": 0 }),
    ))
}
