//! What each tool asks of the daemon.

use serde_json::{Value, json};

use super::{
    daemon::{Daemon, OPERATION},
    session::call,
};

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";
const FINGERPRINT: &str = "SHA256:ybDwNP7bVbsXw6E/oh9aFoxtDKGBlA2dOzOhzgIlXAo";

async fn asked(tool: &'static str, arguments: Value) -> (String, Value) {
    let daemon = Daemon::start().await;
    let result = call(&daemon, tool, arguments).await;
    assert_ne!(result["isError"], true, "{result}");
    daemon.asked().pop().unwrap()
}

fn line(text: &str, body: Value) -> (String, Value) {
    (text.to_owned(), body)
}

#[tokio::test]
async fn every_tool_asks_by_its_method_path_and_body() {
    let alice = json!({"username": "alice"});
    let forced = json!({"username": "alice", "force": true});
    let none = Value::Null;
    for (tool, arguments, wanted) in [
        (
            "list_containers",
            json!({}),
            line("GET /v1/containers?limit=50", none.clone()),
        ),
        (
            "get_container",
            alice.clone(),
            line("GET /v1/containers/alice", none.clone()),
        ),
        (
            "delete_container",
            alice.clone(),
            line(
                "DELETE /v1/containers/alice?force=false&onlyKept=true",
                none.clone(),
            ),
        ),
        (
            "delete_container",
            forced.clone(),
            line(
                "DELETE /v1/containers/alice?force=true&onlyKept=true",
                none.clone(),
            ),
        ),
        (
            "list_containers",
            json!({"state": "deleted"}),
            line("GET /v1/containers?limit=50&state=deleted", none.clone()),
        ),
        (
            "undelete_container",
            alice.clone(),
            line("POST /v1/containers/alice/undelete", json!({})),
        ),
        (
            "list_images",
            json!({}),
            line("GET /v1/images", none.clone()),
        ),
        (
            "list_operations",
            json!({"target": "alice"}),
            line("GET /v1/operations?limit=10&target=alice", none.clone()),
        ),
        (
            "get_operation",
            json!({"id": OPERATION}),
            line(&format!("GET /v1/operations/{OPERATION}"), none.clone()),
        ),
        (
            "cancel_operation",
            json!({"id": OPERATION}),
            line(
                &format!("POST /v1/operations/{OPERATION}/cancel"),
                json!({}),
            ),
        ),
        (
            "start_container",
            alice.clone(),
            line("POST /v1/containers/alice/start", json!({})),
        ),
        (
            "stop_container",
            forced,
            line(
                "POST /v1/containers/alice/stop",
                json!({"force": true, "timeout": 30}),
            ),
        ),
        (
            "get_metrics",
            json!({"username": ""}),
            line("GET /v1/metrics", none.clone()),
        ),
        (
            "get_metrics",
            json!({"username": null}),
            line("GET /v1/metrics", none.clone()),
        ),
        (
            "list_ssh_keys",
            alice.clone(),
            line("GET /v1/containers/alice/ssh-keys", none.clone()),
        ),
        (
            "add_ssh_key",
            json!({"username": "alice", "key": KEY}),
            line("POST /v1/containers/alice/ssh-keys", json!({"key": KEY})),
        ),
        (
            "remove_ssh_key",
            json!({"username": "alice", "fingerprint": FINGERPRINT}),
            line(
                "DELETE /v1/containers/alice/ssh-keys/SHA256%3AybDwNP7bVbsXw6E%2Foh9aFoxtDKGBlA2dOzOhzgIlXAo?force=false",
                none.clone(),
            ),
        ),
        (
            "get_metrics",
            alice,
            line("GET /v1/metrics/alice", none.clone()),
        ),
        (
            "get_system_info",
            json!({}),
            line("GET /v1/system/info", none),
        ),
    ] {
        assert_eq!(
            asked(tool, arguments.clone()).await,
            wanted,
            "{tool} {arguments}"
        );
    }
}

#[tokio::test]
async fn a_create_sends_its_defaults_and_leaves_the_image_to_the_server() {
    let (line, body) = asked("create_container", json!({"username": "alice"})).await;
    assert_eq!(line, "POST /v1/containers");
    assert_eq!(
        body,
        json!({
            "username": "alice", "resources": {"cpu": "4", "memory": "4GB", "disk": "50GB"},
            "sshKeys": [], "enableDocker": true, "labels": {}
        })
    );
}

#[tokio::test]
async fn a_create_sends_what_it_is_given() {
    let (_, body) = asked(
        "create_container",
        json!({
            "username": "bob", "cpu": "8", "memory": "16GB", "disk": "100GB",
            "image": "images:debian/12", "enable_docker": false, "labels": {"team": "red"},
        }),
    )
    .await;
    assert_eq!(
        body,
        json!({
            "username": "bob", "resources": {"cpu": "8", "memory": "16GB", "disk": "100GB"},
            "sshKeys": [], "image": "images:debian/12", "enableDocker": false,
            "labels": {"team": "red"}
        })
    );
}
