//! The built `mcp-server`, and `/mcp` of the built `containarium`, end to end.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use std::time::Duration;

use containarium_contract::Container;
use containarium_testkit::{
    Heard, Key, McpSession, TestDaemon,
    chaos::{Life, Under, clean},
    program, wait_for,
};
use serde_json::{Value, json};

use super::{SOON, restrictions::token, start};

/// How long a create may take on a busy machine.
const CREATE: Duration = Duration::from_secs(120);

/// The arguments of a create that costs a test little.
fn small(username: &str, more: Value) -> Value {
    let mut small = json!({"username": username, "cpu": "1", "memory": "512MB", "disk": "3GB"});
    let all = small.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    small
}

fn container(told: &Value) -> Container {
    serde_json::from_value(told["container"].clone()).unwrap_or_else(|e| panic!("{e}: {told}"))
}

/// Waits until the operation that is told of has succeeded; what it gave.
async fn succeeds(session: &mut McpSession, told: &Value) -> Value {
    let id = told["operation"]["id"].as_str().unwrap();
    assert!(told["container"].is_null(), "it did not wait: {told}");
    assert!(
        told["next"]
            .as_str()
            .unwrap()
            .contains(&format!("get_operation with {{\"id\":\"{id}\"}}")),
        "{told}"
    );
    wait_for(CREATE, "it has succeeded", async || {
        let now = session.must("get_operation", json!({"id": id})).await["operation"].clone();
        match now["state"].as_str() {
            Some("succeeded") => Ok(now["result"].clone()),
            Some("queued" | "running") => Err(now),
            _ => panic!("{now}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handbooks_lifecycle_works_over_stdio() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let mut session = McpSession::with(&daemon).await;
    session.does_the_handbooks_lifecycle().await;
    assert!(bed.living().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_containers_are_made_at_once_in_one_session() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let mut session = McpSession::with(&daemon).await;
    let keys = [key.public()];
    let results = session
        .call_at_once(&[
            (
                "create_container",
                json!({"username": "alice", "memory": "8GB", "ssh_keys": keys}),
            ),
            (
                "create_container",
                json!({"username": "bob", "cpu": "4", "ssh_keys": keys}),
            ),
            (
                "create_container",
                json!({"username": "charlie", "ssh_keys": keys}),
            ),
        ])
        .await;
    for (result, name) in results.iter().zip(["alice", "bob", "charlie"]) {
        assert!(!result.is_error, "{name}: {}", result.text);
        let container = serde_json::from_value(result.structured["container"].clone()).unwrap();
        assert_eq!(key.login(&container).says("id -un").await, name);
    }
    assert_eq!(bed.instances().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_made_without_waiting_changes_its_keys_and_comes_back_with_its_files() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let (own, new) = (Key::new(), Key::new());
    let mut server = McpSession::server(&daemon.url, &daemon.admin_token());
    server.env(
        "CONTAINARIUM_SSH_KEY_FILE",
        own.path().with_extension("pub"),
    );
    let mut session = McpSession::of(server).await;
    let alice = json!({"username": "alice"});

    let images = session.must("list_images", json!({})).await["images"].clone();
    let mut prepared = images.as_array().unwrap().iter();
    let image = prepared
        .find(|one| one["default"] == true && one["state"] == "ready")
        .unwrap_or_else(|| panic!("{images}"));
    let ask = json!({"image": image["image"], "async": true});
    let begun = session.must("create_container", small("alice", ask)).await;
    let listed = session
        .must("list_operations", json!({"target": "alice"}))
        .await;
    let listed = &listed["operations"];
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["id"], begun["operation"]["id"], "{listed}");
    assert_eq!(listed[0]["kind"], "create", "{listed}");
    let made = container(&succeeds(&mut session, &begun).await);
    assert_eq!(json!(made.image), image["image"]);

    // No key was named, so it is the one of who runs the server.
    own.login(&made).says("echo precious > file && sync").await;
    let add = json!({"username": "alice", "key": new.public()});
    session.must("add_ssh_key", add).await;
    assert_eq!(new.login(&made).says("cat file").await, "precious");
    let keys = session.must("list_ssh_keys", alice.clone()).await["sshKeys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
    let first = json!({"username": "alice", "fingerprint": keys[0]["fingerprint"]});
    session.must("remove_ssh_key", first).await;
    assert_eq!(own.login(&made).run("true").await.status, 255);

    let delete = json!({"username": "alice", "force": true, "async": true});
    let begun = session.must("delete_container", delete).await;
    let deleted = succeeds(&mut session, &begun).await;
    let gone = session.call("get_container", alice).await;
    assert!(gone.is_error && gone.text.contains("404"), "{gone:?}");
    let kept = session
        .must("list_containers", json!({"state": "deleted"}))
        .await;
    let kept = &kept["containers"][0];
    assert_eq!(kept["deletedUntil"], deleted["deletedUntil"], "{kept}");
    let ask = json!({"username": "alice", "id": kept["id"]});
    let back = container(&session.must("undelete_container", ask).await);
    assert_eq!(back.id, made.id);
    assert_eq!(new.login(&back).says("cat file").await, "precious");
    assert_eq!(own.login(&back).run("true").await.status, 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_tells_its_steps_and_is_undone_when_it_is_cancelled() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let mut session = McpSession::with(&daemon).await;
    let create = session
        .begins("create_container", small("bob", json!({})))
        .await;
    let mut told: Vec<Value> = Vec::new();
    while !told.iter().any(|sign| {
        let message = sign["message"].as_str().unwrap();
        message.starts_with("creating bob-container: boot, ")
    }) {
        match session.hears(create).await {
            Heard::Progress(sign) => told.push(sign),
            Heard::Done(result) => panic!("it did not tell that it boots: {told:?}, {result:?}"),
        }
    }
    let numbers: Vec<f64> = told
        .iter()
        .map(|sign| sign["progress"].as_f64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{told:?}");
    assert_eq!(bed.instances().await.len(), 1);

    session.cancels(create).await;
    wait_for(SOON, "the create is undone", async || {
        let listed = session
            .must("list_operations", json!({"target": "bob"}))
            .await;
        match &listed["operations"][0] {
            one if one["state"] == "cancelled" => Ok(()),
            one => Err(one.clone()),
        }
    })
    .await;
    assert_eq!(bed.instances().await.len(), 0);
    // The session goes on, and the name is free.
    let gone = session
        .call("get_container", json!({"username": "bob"}))
        .await;
    assert!(gone.is_error && gone.text.contains("404"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_for_good_without_a_person_who_types_its_name() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let alice = key.login(&daemon.create("alice", &key).await);
    alice.says("echo precious > file && sync").await;
    let server = || McpSession::server(&daemon.url, &daemon.admin_token());
    let purge = json!({"username": "alice", "force": true});
    let refuses = async |session: &mut McpSession, arguments: &Value, why: &str| {
        let told = session.call("purge_container", arguments.clone()).await;
        assert!(told.is_error && told.text.contains(why), "{told:?}");
        assert_eq!(bed.living().await.len(), 1, "{why}");
        assert_eq!(alice.says("cat file").await, "precious", "{why}");
    };

    let command = "`containarium delete alice --force --purge`";
    refuses(&mut McpSession::of(server()).await, &purge, command).await;

    let mut session = McpSession::before_a_person(server()).await;
    let name = |name: &str| json!({"action": "accept", "content": {"name": name}});
    refuses(&mut session, &purge, "the person did not agree").await;
    session.person_says(name("bob-container"));
    refuses(&mut session, &purge, "is not alice-container").await;
    session.person_says(name("alice-container"));
    // Their word is not `force`.
    let unforced = json!({"username": "alice"});
    refuses(&mut session, &unforced, "API error (status 409)").await;
    let questions = session.questions();
    assert_eq!(questions.len(), 3, "{questions:?}");
    for question in questions {
        assert_eq!(
            question,
            "alice-container (owner alice, disk 3GB) and everything in it would be gone for good. \
             Type alice-container to remove it for good."
        );
    }

    session.must("purge_container", purge.clone()).await;
    assert_eq!(bed.instances().await.len(), 0);
    let kept = session
        .must("list_containers", json!({"state": "deleted"}))
        .await;
    assert_eq!(kept["totalCount"], 0, "{kept}");

    // For automation.
    daemon.create("alice", &key).await;
    let mut automation = server();
    automation.arg("--allow-irreversible");
    let mut session = McpSession::of(automation).await;
    session.must("purge_container", purge).await;
    assert_eq!(bed.instances().await.len(), 0);
}

/// What `/mcp` says to a tool's call, in the era without sessions: all of the stream, or the one message.
async fn posted(url: &str, token: &str, tool: &str, arguments: &Value, more: Value) -> Vec<Value> {
    let mut params = json!({
        "name": tool, "arguments": arguments, "_meta": {
            "progressToken": 1,
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        },
    });
    let all = params.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    let body = message.to_string();
    let told = TestDaemon::ask_at_with(url, "POST", "/mcp", Some(token), Some(&body), &headers);
    let told = told.await;
    assert_eq!(told.status, 200, "{told:?}");
    let lines = told.body.lines();
    let lines = lines.map(|line| line.strip_prefix("data: ").unwrap_or(line));
    lines
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_modes_and_small_keys_hold_over_stdio_and_http() {
    let Some(under) = Under::live().await else {
        return;
    };
    let mut life = Life::new(&program("containarium"), &under);
    life.start(None).await.unwrap();
    let key = Key::new();
    let all = token(life.secret_variable(), &[]);
    let with = |arguments: &[&str]| {
        let mut server = McpSession::server(life.url(), &all);
        server.args(arguments);
        McpSession::of(server)
    };
    let ask = |username| small(username, json!({"ssh_keys": [key.public()]}));
    let agent = json!({"username": "agent-1"});

    let mut looker = with(&["--read-only"]).await;
    assert_eq!(
        looker.refused("create_container", ask("agent-1")).await,
        "create_container is not offered: --read-only takes it away"
    );
    assert_eq!(under.instances().await.len(), 0);
    let mut some = with(&["--only", "agent-*", "--max", "1"]).await;
    for (username, why, instances) in [
        ("bob", "\"reason\":\"forbidden\"", 0),
        ("agent-1", "", 1),
        ("agent-2", "\"reason\":\"quota_exceeded\"", 1),
    ] {
        let told = some.call("create_container", ask(username)).await;
        assert_eq!(told.is_error, !why.is_empty(), "{username}: {told:?}");
        assert!(told.text.contains(why), "{username}: {told:?}");
        assert_eq!(under.instances().await.len(), instances, "{username}");
    }
    let made = container(&looker.must("get_container", agent.clone()).await);
    assert_eq!(key.login(&made).says("id -un").await, "agent-1");

    let looks = token(life.secret_variable(), &["--read-only"]);
    let small_one = token(life.secret_variable(), &["--only", "agent-*", "--max", "1"]);
    let call = async |token: &str, tool: &str, arguments: &Value, more: Value| {
        posted(life.url(), token, tool, arguments, more).await
    };
    let last = async |token: &str, tool: &str, arguments: &Value| {
        let told = call(token, tool, arguments, json!({})).await;
        told.last().unwrap().clone()
    };
    let told = last(&looks, "stop_container", &agent).await;
    assert_eq!(
        told["error"]["message"],
        "stop_container is not offered: the token takes it away"
    );
    let told = last(&looks, "get_container", &agent).await;
    let told = &told["result"]["structuredContent"];
    assert_eq!(told["container"]["state"], "running", "{told}");
    for (username, why) in [("bob", "forbidden"), ("agent-2", "quota_exceeded")] {
        let told = last(&small_one, "create_container", &ask(username)).await;
        assert_eq!(told["result"]["isError"], true, "{told}");
        assert!(told.to_string().contains(why), "{told}");
    }
    assert_eq!(under.instances().await.len(), 1);

    // A person's word in this era: the client is told to ask, and calls again with the answer.
    let purge = json!({"username": "agent-1", "force": true});
    let asked = last(&small_one, "purge_container", &purge).await["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    for (name, instances) in [("bob-container", 1), ("agent-1-container", 0)] {
        let answer = json!({"action": "accept", "content": {"name": name}});
        let more =
            json!({"requestState": asked["requestState"], "inputResponses": {"confirm": answer}});
        let told = call(&small_one, "purge_container", &purge, more).await;
        let refused = told.last().unwrap()["result"]["isError"] == true;
        assert_eq!(refused, instances > 0, "{told:?}");
        assert_eq!(under.instances().await.len(), instances, "{name}");
    }
    // It has left its place.
    let told = call(&small_one, "create_container", &ask("agent-2"), json!({})).await;
    let made = container(&told.last().unwrap()["result"]["structuredContent"]);
    assert_eq!(key.login(&made).says("id -un").await, "agent-2");
    let boots = told.iter().any(|message| {
        let message = &message["params"]["message"];
        message
            .as_str()
            .is_some_and(|text| text.starts_with("creating agent-2-container: boot, "))
    });
    assert!(boots, "{told:?}");

    clean(&life.calls(), &under).await;
    life.stop().await;
}
