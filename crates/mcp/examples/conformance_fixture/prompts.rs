//! What a person can pick.

use rmcp::{
    ErrorData,
    model::{
        ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, ImageContent,
        Prompt, PromptArgument, PromptMessage, Role,
    },
};
use serde_json::json;

use crate::{PIXEL, ask};

pub(crate) fn list() -> Vec<Prompt> {
    let arguments = ["arg1", "arg2"].map(|name| {
        let about = "An argument for testing";
        PromptArgument::new(name)
            .with_description(about)
            .with_required(true)
    });
    [
        ("test_simple_prompt", None),
        ("test_prompt_with_arguments", Some(arguments.to_vec())),
        ("test_prompt_with_embedded_resource", None),
        ("test_prompt_with_image", None),
        ("test_input_required_result_prompt", None),
    ]
    .into_iter()
    .map(|(name, arguments)| Prompt::new(name, Some("A prompt for testing"), arguments))
    .collect()
}

pub(crate) fn get(get: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let said = |text: String| PromptMessage::new_text(Role::User, text);
    let given = json!(get.arguments);
    let messages = match get.name.as_str() {
        "test_simple_prompt" => vec![said("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            let [one, two] = ["arg1", "arg2"].map(|name| given[name].as_str().unwrap_or_default());
            vec![said(format!(
                "Prompt with arguments: arg1='{one}', arg2='{two}'"
            ))]
        }
        "test_prompt_with_embedded_resource" => {
            // The suite reads back the address that it gave.
            let uri = given["resourceUri"]
                .as_str()
                .unwrap_or("test://example-resource");
            vec![
                PromptMessage::new_resource(
                    Role::User,
                    uri.to_owned(),
                    Some("text/plain".to_owned()),
                    Some("Embedded resource content for testing.".to_owned()),
                    None,
                    None,
                    None,
                ),
                said("Please process the embedded resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(
                Role::User,
                ContentBlock::Image(ImageContent::new(PIXEL, "image/png")),
            ),
            said("Please analyze the image above.".to_owned()),
        ],
        "test_input_required_result_prompt" => {
            match ask::answer(get.input_responses.as_ref(), "user_context") {
                Some(answer) => vec![said(format!("In the context of {}", answer["content"]))],
                None => {
                    return Ok(
                        ask::one("user_context", ask::form("What context?", "context"))?.into(),
                    );
                }
            }
        }
        other => {
            let what = format!("Unknown prompt: {other}");
            return Err(ErrorData::invalid_params(what, None));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}
