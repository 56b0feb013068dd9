//! Tools that need an answer of somebody first, in the way of 2026-07-28: the result says what is
//! needed, and the next call brings it.

#![expect(
    deprecated,
    reason = "the suite has sampling and roots of the older protocol"
)]

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        CreateMessageRequest, CreateMessageRequestParams, ElicitRequest, ElicitRequestParams,
        InputRequest, InputRequests, InputRequiredResult, InputResponses, ListRootsRequest,
        SamplingMessage,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::handler::Fixture;

pub(crate) const PREFIX: &str = "test_input_required_result_";

/// What the tools are called, after the prefix.
pub(crate) const NAMES: [&str; 8] = [
    "elicitation",
    "sampling",
    "list_roots",
    "request_state",
    "multiple_inputs",
    "multi_round",
    "tampered_state",
    "capabilities",
];

/// A question with one field for the answer.
pub(crate) fn form(question: &str, field: &str) -> Result<InputRequest, ErrorData> {
    let kind = if matches!(field, "ok" | "confirm") {
        "boolean"
    } else {
        "string"
    };
    let schema = json!({
        "type": "object", "properties": {field: {"type": kind}}, "required": [field]
    });
    Ok(InputRequest::Elicitation(ElicitRequest::new(
        ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: question.to_owned(),
            requested_schema: serde_json::from_value(schema).map_err(internal)?,
        },
    )))
}

fn sample(text: &str) -> InputRequest {
    let messages = vec![SamplingMessage::user_text(text)];
    let params = CreateMessageRequestParams::new(messages, 100);
    InputRequest::CreateMessage(CreateMessageRequest::new(params))
}

fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

fn internal(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// The answer to a question, if it is one; what is of another shape is asked for again.
pub(crate) fn answer(answers: Option<&InputResponses>, key: &str) -> Option<Value> {
    let answer = json!(answers?.get(key)?);
    answer.is_object().then_some(answer)
}

/// A result that asks one thing.
pub(crate) fn one(
    key: &str,
    request: Result<InputRequest, ErrorData>,
) -> Result<InputRequiredResult, ErrorData> {
    Ok(InputRequiredResult::from_input_requests(
        InputRequests::from_iter([(key.to_owned(), request?)]),
    ))
}

pub(crate) fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

pub(crate) fn call(
    fixture: &Fixture,
    call: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let answers = call.input_responses.as_ref();
    let name = || form("What is your name?", "name");
    let greeting = || sample("Generate a greeting");
    // What comes back is not to be believed before its seal is looked at.
    let state: Option<Value> = match call.request_state.as_deref() {
        None => None,
        Some(sealed) => Some(fixture.seal.open_json(sealed).map_err(|_| {
            ErrorData::invalid_params("requestState failed integrity verification", None)
        })?),
    };
    let sealed = |state: Value, asked: Vec<(&str, InputRequest)>| {
        let state = fixture.seal.seal_json(&state).map_err(internal)?;
        let asked = asked
            .into_iter()
            .map(|(key, request)| (key.to_owned(), request));
        Ok(InputRequiredResult::new(Some(asked.collect()), Some(state)).into())
    };
    match call.name.strip_prefix(PREFIX).unwrap_or_default() {
        "elicitation" => match answer(answers, "user_name") {
            Some(given) => Ok(said(format!(
                "Hello, {}!",
                given["content"]["name"].as_str().unwrap_or("nobody")
            ))),
            None => Ok(one("user_name", name())?.into()),
        },
        "sampling" => match answer(answers, "capital_question") {
            Some(given) => Ok(said(format!("Sampling response: {}", given["content"]))),
            None => {
                let question = Ok(sample("What is the capital of France?"));
                Ok(one("capital_question", question)?.into())
            }
        },
        "list_roots" => match answer(answers, "client_roots") {
            Some(given) => Ok(said(format!("Client roots: {}", given["roots"]))),
            None => Ok(one("client_roots", Ok(roots()))?.into()),
        },
        "request_state" | "tampered_state" => match state {
            Some(_) => Ok(said("Confirmed: state-ok")),
            None => sealed(
                json!({"round": 1}),
                vec![("confirm", form("Please confirm", "ok")?)],
            ),
        },
        "multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"];
            if state.is_some() && all.iter().all(|key| answer(answers, key).is_some()) {
                return Ok(said("All inputs received"));
            }
            let asked = vec![
                ("user_name", name()?),
                ("greeting", greeting()),
                ("client_roots", roots()),
            ];
            sealed(json!({"round": 1}), asked)
        }
        "multi_round" => match state.and_then(|state| state["round"].as_u64()) {
            None => sealed(json!({"round": 1}), vec![("step1", name()?)]),
            Some(1) => {
                let color = form("What is your favorite color?", "color")?;
                sealed(json!({"round": 2}), vec![("step2", color)])
            }
            Some(_) => Ok(said("Multi-round flow complete")),
        },
        "capabilities" => {
            if answers.is_some() {
                return Ok(said("All that could be asked was answered"));
            }
            // A client is asked only for what it says it can do.
            let can = context.meta.client_capabilities().unwrap_or_default();
            let mut asked = InputRequests::new();
            if can.elicitation.is_some() {
                asked.insert("user_name".to_owned(), name()?);
            }
            if can.sampling.is_some() {
                asked.insert("greeting".to_owned(), greeting());
            }
            if can.roots.is_some() {
                asked.insert("client_roots".to_owned(), roots());
            }
            if asked.is_empty() {
                return Ok(said("There is nothing that this client can be asked"));
            }
            Ok(InputRequiredResult::from_input_requests(asked).into())
        }
        _ => Err(ErrorData::invalid_params(
            format!("Unknown tool: {}", call.name),
            None,
        )),
    }
}
