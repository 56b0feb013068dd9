//! Tools that answer by themselves.

#![expect(
    deprecated,
    reason = "the suite has logging and sampling of the older protocol"
)]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        AudioContent, CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
        ContentBlock, JsonObject, LoggingLevel, LoggingMessageNotificationParam,
        ProgressNotificationParam, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{PIXEL, SILENCE, ask, elicit, handler::Fixture, resources, tasks};

const PLAIN: [&str; 18] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "failing_job",
    "protocol_error_job",
];

fn tool(name: String, schema: Value) -> Tool {
    let schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    Tool::new(name, "A tool for testing", schema)
}

fn with_text(name: &str, field: &str, more: &Value) -> Tool {
    let mut property = json!({"type": "string"});
    if let (Some(property), Some(more)) = (property.as_object_mut(), more.as_object()) {
        property.extend(more.clone());
    }
    let schema = json!({"type": "object", "properties": {field: property}, "required": [field]});
    tool(name.to_owned(), schema)
}

pub(crate) fn list() -> Vec<Tool> {
    let asking = ask::NAMES.map(|name| format!("{}{name}", ask::PREFIX));
    let plain = PLAIN.map(str::to_owned).into_iter().chain(asking);
    let waiting = ["confirm_delete", "multi_input", "test_tool_with_task"].map(str::to_owned);
    let mut all: Vec<Tool> = plain
        .chain(waiting)
        .map(|name| tool(name, json!({"type": "object", "properties": {}})))
        .collect();
    let slow = json!({
        "type": "object",
        "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}
    });
    all.extend([
        with_text("test_sampling", "prompt", &json!({})),
        with_text("test_elicitation", "message", &json!({})),
        with_text(
            "test_custom_header",
            "value",
            &json!({"x-mcp-header": "Value"}),
        ),
        with_text("greet", "name", &json!({})),
        tool("slow_compute".to_owned(), slow),
        tool("json_schema_2020_12_tool".to_owned(), schema_2020_12()),
    ]);
    debug_assert!(
        tasks::NAMES
            .iter()
            .all(|name| all.iter().any(|tool| tool.name == *name))
    );
    all
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"}
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false
    })
}

/// Tells who listens to log messages.
async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, what: &str) {
    let message = LoggingMessageNotificationParam::new(level, json!(what)).with_logger("fixture");
    // Whoever is gone does not listen.
    let _ = context.peer.notify_logging_message(message).await;
}

pub(crate) async fn call(
    fixture: &Fixture,
    call: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let given = json!(call.arguments);
    let blocks = match call.name.as_ref() {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => vec![ContentBlock::image(PIXEL, "image/png")],
        "test_audio_content" => {
            vec![ContentBlock::Audio(AudioContent::new(SILENCE, "audio/wav"))]
        }
        "test_embedded_resource" => {
            let text = "This is an embedded resource content.".to_owned();
            let uri = "test://embedded-resource";
            vec![ContentBlock::resource(resources::text(
                uri,
                "text/plain",
                text,
            ))]
        }
        "test_multiple_content_types" => {
            let data = json!({"test": "data", "value": 123}).to_string();
            let uri = "test://mixed-content-resource";
            vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(PIXEL, "image/png"),
                ContentBlock::resource(resources::text(uri, "application/json", data)),
            ]
        }
        "test_tool_with_logging" => {
            for what in ["started", "processing data", "completed"] {
                log(
                    &context,
                    LoggingLevel::Info,
                    &format!("Tool execution {what}"),
                )
                .await;
                sleep(Duration::from_millis(50)).await;
            }
            text("Logging is done")
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let sign = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    let sign = sign.with_message(format!("{progress} of 100"));
                    let _ = context.peer.notify_progress(sign).await;
                }
                sleep(Duration::from_millis(50)).await;
            }
            text("Progress is done")
        }
        "test_error_handling" => {
            let why = text("This tool intentionally returns an error for testing");
            return Ok(CallToolResult::error(why).into());
        }
        "test_sampling" => {
            let prompt = given["prompt"].as_str().unwrap_or_default();
            return Ok(elicit::sample(&context.peer, prompt).await.into());
        }
        "test_elicitation" => {
            let question = given["message"].as_str().unwrap_or_default();
            let asked = elicit::ask(&context.peer, "User response", question, elicit::user());
            return Ok(asked.await?.into());
        }
        "test_elicitation_sep1034_defaults" => {
            let (before, schema) = ("Elicitation completed", elicit::defaults());
            return Ok(elicit::ask(&context.peer, before, "With defaults", schema)
                .await?
                .into());
        }
        "test_elicitation_sep1330_enums" => {
            let (before, schema) = ("Elicitation completed", elicit::enums());
            return Ok(elicit::ask(&context.peer, before, "With choices", schema)
                .await?
                .into());
        }
        "test_custom_header" => match given["value"].as_str() {
            Some(value) => text(value),
            None => return Err(ErrorData::invalid_params("value is a text", None)),
        },
        "json_schema_2020_12_tool" => text(&format!("called with {given}")),
        "test_reconnection" => {
            sleep(Duration::from_millis(100)).await;
            text("Reconnection test completed")
        }
        "test_trigger_tool_change" => {
            for listener in fixture.listeners().await {
                let _ = listener.notify_tool_list_changed().await;
            }
            text("told")
        }
        "test_trigger_prompt_change" => {
            for listener in fixture.listeners().await {
                let _ = listener.notify_prompt_list_changed().await;
            }
            text("told")
        }
        "test_missing_capability" => {
            let can = context.meta.client_capabilities().unwrap_or_default();
            if can.sampling.is_none() {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            text("The client can sample")
        }
        "test_streaming_elicitation" => {
            let question = ask::form("Provide a value", "value");
            return Ok(ask::one("streaming_elicitation", question)?.into());
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(&context, level, "the level was asked for").await;
            }
            text("Logging is done")
        }
        other => {
            let what = format!("Unknown tool: {other}");
            return Err(ErrorData::invalid_params(what, None));
        }
    };
    Ok(CallToolResult::success(blocks).into())
}

fn text(text: &str) -> Vec<ContentBlock> {
    vec![ContentBlock::text(text)]
}
