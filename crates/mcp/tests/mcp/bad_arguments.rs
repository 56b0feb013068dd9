//! Every argument of every tool, enumerated from the list: of a wrong type, empty, too long, missing,
//! unknown. Each is told by its name, and nothing is asked of the daemon. And calls made of junk.

use containarium_mcp::Tools;
use containarium_testkit::Junk;
use rmcp::{ServiceExt, model::CallToolRequestParams, service::ClientLifecycleMode};
use serde_json::{Map, Value, json};

use super::{daemon::Daemon, requests::KEY, session::session};

/// Values that an argument of this schema cannot have.
fn wrong(schema: &Value, is_required: bool) -> Vec<Value> {
    let kind = schema["type"].as_str().unwrap();
    let mut wrong: Vec<Value> = [
        json!(true),
        json!([[]]),
        json!({"a": []}),
        json!("x y"),
        json!(1.5),
    ]
    .into_iter()
    .filter(|value| match kind {
        "boolean" => !value.is_boolean(),
        "array" => !value.is_array() || value == &json!([[]]),
        "string" => !value.is_string(),
        _ => true,
    })
    .collect();
    if kind == "string" {
        wrong.extend([
            json!("a".repeat(100_000)),
            json!("a\u{0}"),
            json!("\u{1b}[31m\n"),
        ]);
        if is_required {
            wrong.push(json!(""));
        }
    }
    if kind == "integer" {
        wrong.extend([json!(-1), json!(u64::MAX)]);
    }
    wrong
}

/// Text that a terminal or a model can be shown.
fn must_be_presentable(text: &str, what: &str) {
    assert!(text.len() < 3000, "{what}");
    let bad = |c: char| c.is_control() && c != '\n';
    assert!(!text.chars().any(bad), "{what}: {text:?}");
}

#[tokio::test]
async fn every_argument_that_cannot_be_is_named_and_nothing_is_asked() {
    let daemon = Daemon::start().await;
    let (session, _) = session(&daemon, ClientLifecycleMode::Initialize).await;
    let mut tried = 0;
    for tool in session.list_all_tools().await.unwrap() {
        let schema = Value::Object((*tool.input_schema).clone());
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        // A good call, as far as the schema's own examples go.
        let mut good = Map::new();
        for name in &required {
            let example = match schema["properties"][name]["examples"][0].clone() {
                Value::Null if *name == "key" => json!(KEY),
                Value::Null => json!("alice"),
                example => example,
            };
            good.insert((*name).to_owned(), example);
        }
        let mut cases = vec![("nosuch".to_owned(), Some(json!(1)))];
        cases.extend(required.iter().map(|name| ((*name).to_owned(), None)));
        for (name, property) in schema["properties"].as_object().unwrap() {
            let is_required = required.contains(&name.as_str());
            let wrong = wrong(property, is_required).into_iter();
            cases.extend(wrong.map(|value| (name.clone(), Some(value))));
        }
        for (name, value) in cases {
            let mut arguments = good.clone();
            match &value {
                Some(value) => arguments.insert(name.clone(), value.clone()),
                None => arguments.remove(&name),
            };
            let call = CallToolRequestParams::new(tool.name.clone()).with_arguments(arguments);
            let result = session.call_tool(call).await.unwrap();
            let result = serde_json::to_value(result).unwrap();
            let shown: String = format!("{value:?}").chars().take(60).collect();
            let what = format!("{} `{name}` = {shown}: {result}", tool.name);
            assert_eq!(result["isError"], true, "{what}");
            let text = result["content"][0]["text"].as_str().unwrap();
            assert!(text.starts_with("invalid arguments: "), "{what}");
            assert!(text.contains(&format!("`{name}")), "{what}");
            must_be_presentable(text, &what);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(daemon.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_made_of_junk_are_all_answered() {
    let mut junk = Junk::new();
    let daemon = Daemon::start().await;
    let (near, far) = tokio::io::duplex(1 << 20);
    let tools = Tools::new(daemon.client());
    tokio::spawn(async move { tools.serve(far).await.unwrap().waiting().await });
    let session = ().serve(near).await.unwrap();
    let all = session.list_all_tools().await.unwrap();
    for _ in 0..2000 {
        let tool = junk.one(&all);
        let mut arguments = junk.object();
        for name in tool.input_schema["properties"].as_object().unwrap().keys() {
            if junk.once_in(2) {
                let value = if name == "username" && junk.once_in(2) {
                    json!("alice")
                } else {
                    junk.value()
                };
                arguments.insert(name.clone(), value);
            }
        }
        let name = if junk.once_in(20) {
            junk.text().into()
        } else {
            tool.name.clone()
        };
        let what = format!("{name:?} {arguments:?}");
        let call = CallToolRequestParams::new(name).with_arguments(arguments);
        match session.call_tool(call).await {
            Ok(result) if result.is_error == Some(true) => {
                let result = serde_json::to_value(result).unwrap();
                must_be_presentable(result["content"][0]["text"].as_str().unwrap(), &what);
            }
            Ok(_) => {}
            Err(rmcp::ServiceError::McpError(error)) => {
                assert_eq!(error.code.0, -32602, "{what}: {error:?}");
                must_be_presentable(&error.message, &what);
            }
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
    // It is still there, and answers as before.
    assert_eq!(session.list_all_tools().await.unwrap().len(), all.len());
}
