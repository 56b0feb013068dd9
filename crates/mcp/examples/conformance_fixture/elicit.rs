//! Questions and samplings in the way of the older protocol: a request to the client, in the midst
//! of a call. Sampling is deprecated and still in the suite.

#![expect(deprecated, reason = "the suite has sampling of the older protocol")]

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{
        CallToolResult, ContentBlock, CreateMessageRequestParams, ElicitRequestParams,
        SamplingMessage,
    },
};
use serde_json::{Value, json};

/// Asks for what `schema` says and tells what came of it.
pub(crate) async fn ask(
    peer: &Peer<RoleServer>,
    before: &str,
    question: &str,
    schema: Value,
) -> Result<CallToolResult, ErrorData> {
    let schema = serde_json::from_value(schema);
    let asked = peer.create_elicitation(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: question.to_owned(),
        requested_schema: schema.map_err(|e| ErrorData::internal_error(e.to_string(), None))?,
    });
    Ok(match asked.await {
        Ok(answer) => {
            let (action, content) = (json!(answer.action), json!(answer.content));
            let action = action.as_str().unwrap_or_default().to_owned();
            let text = format!("{before}: action={action}, content={content}");
            CallToolResult::success(vec![ContentBlock::text(text)])
        }
        Err(why) => CallToolResult::error(vec![ContentBlock::text(why.to_string())]),
    })
}

pub(crate) async fn sample(peer: &Peer<RoleServer>, prompt: &str) -> CallToolResult {
    let messages = vec![SamplingMessage::user_text(prompt)];
    match peer
        .create_message(CreateMessageRequestParams::new(messages, 100))
        .await
    {
        Ok(answer) => {
            let said = answer.message.content.first().and_then(|c| c.as_text());
            let said = said.map_or("nothing", |said| said.text.as_str());
            CallToolResult::success(vec![ContentBlock::text(format!("LLM response: {said}"))])
        }
        Err(why) => CallToolResult::error(vec![ContentBlock::text(why.to_string())]),
    }
}

pub(crate) fn user() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"}
        },
        "required": ["username", "email"]
    })
}

pub(crate) fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {
                "type": "string", "enum": ["active", "inactive", "pending"], "default": "active"
            },
            "verified": {"type": "boolean", "default": true}
        }
    })
}

pub(crate) fn enums() -> Value {
    let titled = |first: &str| {
        let numbers = ["One", "Two", "Three"].into_iter().zip(1..);
        let choice =
            |(title, n)| json!({"const": format!("value{n}"), "title": format!("{first} {title}")});
        numbers.map(choice).collect::<Vec<_>>()
    };
    let plain = ["option1", "option2", "option3"];
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string", "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"]
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}}
        }
    })
}
