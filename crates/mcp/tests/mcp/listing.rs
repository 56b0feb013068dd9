//! The list of tools as clients are shown it.

use containarium_contract::{Effect, Spec};
use serde_json::Value;

use super::{daemon::Daemon, session::session};

async fn tools() -> Vec<Value> {
    let daemon = Daemon::start().await;
    let (session, _) = session(&daemon, rmcp::service::ClientLifecycleMode::Initialize).await;
    let tools = session.list_all_tools().await.unwrap();
    tools
        .iter()
        .map(|tool| serde_json::to_value(tool).unwrap())
        .collect()
}

#[tokio::test]
async fn the_documented_list_is_this_one() {
    let tools = format!("{:#}\n", Value::from(tools().await));
    expect_test::expect_file!["../../../../docs/tools.json"].assert_eq(&tools);
}

#[tokio::test]
async fn the_order_is_the_handbooks() {
    let names: Vec<_> = tools()
        .await
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "create_container",
            "list_containers",
            "get_container",
            "delete_container",
            "start_container",
            "stop_container",
            "get_metrics",
            "get_system_info",
            "list_ssh_keys",
            "add_ssh_key",
            "remove_ssh_key",
            "undelete_container",
            "purge_container",
            "list_images",
            "list_operations",
            "get_operation",
            "cancel_operation",
        ]
    );
}

#[tokio::test]
async fn every_tool_says_all_that_clients_ask_for() {
    for tool in tools().await {
        let name = tool["name"].as_str().unwrap();
        let hints = &tool["annotations"];
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(hints[hint].is_boolean(), "{name} {hint}");
        }
        assert!(
            tool["title"].is_string() && hints["title"].is_string(),
            "{name}"
        );
        let about = tool["description"].as_str().unwrap();
        assert!(about.len() < 1024 && about.ends_with('.'), "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_not_offered() {
    let tools = tools().await;
    let delete = tools.iter().find(|tool| tool["name"] == "delete_container");
    let delete = delete.unwrap();
    assert_eq!(delete["inputSchema"]["properties"].get("purge"), None);
    let about = delete["description"].as_str().unwrap();
    assert!(about.contains("undelete_container"), "{about}");
}

#[tokio::test]
async fn no_schema_holds_what_a_client_is_known_to_refuse() {
    fn walk(schema: &Value, at: &str, input: bool) {
        for (key, value) in schema.as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            assert!(
                !["$schema", "$ref", "$defs", "format", "oneOf"].contains(&key.as_str()),
                "{at}"
            );
            if input {
                assert!(!["anyOf", "allOf"].contains(&key.as_str()), "{at}");
                assert!(key != "type" || value.is_string(), "{at}");
                assert!(key != "default" || !value.is_null(), "{at}");
            }
            walk(value, &at, input);
        }
    }
    for tool in tools().await {
        let name = tool["name"].as_str().unwrap();
        walk(&tool["inputSchema"], name, true);
        walk(&tool["outputSchema"], name, false);
        for composition in ["oneOf", "anyOf", "allOf"] {
            assert_eq!(tool["outputSchema"].get(composition), None, "{name}");
        }
    }
}

#[tokio::test]
async fn the_list_is_a_line_that_clients_read_who_take_64_kib() {
    let list = serde_json::to_string(&tools().await).unwrap();
    // With room for what else is in the line.
    assert!(list.len() < 63 * 1024, "{}", list.len());
}

#[tokio::test]
async fn the_hints_follow_the_contract() {
    use containarium_contract as c;
    let effects = [
        Spec::of::<c::CreateContainer>(),
        Spec::of::<c::ListContainers>(),
        Spec::of::<c::GetContainer>(),
        Spec::of::<c::DeleteContainer>(),
        Spec::of::<c::StartContainer>(),
        Spec::of::<c::StopContainer>(),
        Spec::of::<c::GetMetrics>(),
        Spec::of::<c::GetSystemInfo>(),
        Spec::of::<c::ListSshKeys>(),
        Spec::of::<c::AddSshKey>(),
        Spec::of::<c::RemoveSshKey>(),
        Spec::of::<c::UndeleteContainer>(),
        Spec::of::<c::DeleteContainer>(),
        Spec::of::<c::ListImages>(),
        Spec::of::<c::ListOperations>(),
        Spec::of::<c::GetOperation>(),
        Spec::of::<c::CancelOperation>(),
    ];
    for (tool, spec) in tools().await.iter().zip(effects) {
        // What is for good is a tool of its own.
        let is_purge = tool["name"] == "purge_container";
        assert!(is_purge || tool["name"] == spec.id, "{}", spec.id);
        assert_eq!(
            tool["annotations"]["readOnlyHint"],
            spec.effect == Effect::Read,
            "{}",
            spec.id
        );
        // The endpoint can purge; the tool cannot, and what it deletes can be brought back.
        let reversible = tool["name"] == "delete_container";
        let destroys = spec.effect == Effect::Destroy && !reversible;
        assert_eq!(
            tool["annotations"]["destructiveHint"], destroys,
            "{}",
            spec.id
        );
    }
}
