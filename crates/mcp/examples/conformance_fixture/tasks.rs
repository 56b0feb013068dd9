//! Tools that become a task where the client knows tasks.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CreateTaskResult,
    },
    service::RequestContext,
    task_manager::{TaskExit, TaskOptions},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{ask, handler::Fixture};

pub(crate) const NAMES: [&str; 7] = [
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

/// Those that are nothing but a task; `slow_compute` answers late where the client knows none.
const ONLY_TASKS: [&str; 5] = [
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

fn said(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

pub(crate) async fn call(
    fixture: &Fixture,
    call: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = call.name.to_string();
    let given = json!(call.arguments);
    let knows_tasks = context.client_capabilities();
    let knows_tasks = knows_tasks.is_some_and(|can| can.supports_tasks());
    if ONLY_TASKS.contains(&name.as_str()) && !knows_tasks {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(needed));
    }
    let mut whom = String::new();
    match name.as_str() {
        "greet" => {
            let whom = given["name"].as_str().unwrap_or("nobody");
            return Ok(said(format!("Hello, {whom}!")).into());
        }
        "slow_compute" if !knows_tasks => {
            let seconds = given["seconds"].as_f64().unwrap_or(1.0);
            sleep(Duration::from_secs_f64(seconds)).await;
            return Ok(said(format!("done after {seconds} s")).into());
        }
        "test_tool_with_task" => match ask::answer(call.input_responses.as_ref(), "user_name") {
            None => {
                let question = ask::form("What is your name?", "name");
                return Ok(ask::one("user_name", question)?.into());
            }
            Some(answer) => answer["content"]["name"]
                .as_str()
                .unwrap_or("nobody")
                .clone_into(&mut whom),
        },
        _ => {}
    }
    let task = fixture.tasks.spawn(TaskOptions::default(), move |task| {
        Box::pin(async move {
            match name.as_str() {
                "slow_compute" => {
                    let seconds = given["seconds"].as_f64().unwrap_or(1.0);
                    tokio::select! {
                        () = task.cancelled() => Err(TaskExit::Cancelled),
                        () = sleep(Duration::from_secs_f64(seconds)) => {
                            Ok(said(format!("done after {seconds} s")))
                        }
                    }
                }
                "failing_job" => {
                    sleep(Duration::from_secs(1)).await;
                    let why = "the tool failed, as it was asked to";
                    Ok(CallToolResult::error(vec![ContentBlock::text(why)]))
                }
                "protocol_error_job" => {
                    sleep(Duration::from_millis(200)).await;
                    let why = "the protocol failed, as it was asked to";
                    Err(TaskExit::Error(ErrorData::internal_error(why, None)))
                }
                "confirm_delete" => {
                    let question = ask::form("Delete it?", "confirm").map_err(TaskExit::Error)?;
                    let answer = task.request_input("confirm", question).await?;
                    Ok(said(format!(
                        "confirmed: {}",
                        json!(answer)["content"]["confirm"]
                    )))
                }
                "multi_input" => {
                    let [one, two] = ["a", "b"].map(|which| ask::form(which, "value"));
                    let one = task.request_input("input-a", one.map_err(TaskExit::Error)?);
                    let two = task.request_input("input-b", two.map_err(TaskExit::Error)?);
                    let (one, two) = tokio::join!(one, two);
                    let both: [Value; 2] = [json!(one?), json!(two?)];
                    Ok(said(format!("both: {}", json!(both))))
                }
                _ => Ok(said(format!("Hello, {whom}! (async)"))),
            }
        })
    });
    Ok(CreateTaskResult::new(task).into())
}
