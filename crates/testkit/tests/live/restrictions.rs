//! A token that `containarium token generate` restricts, on containers that are there.

use std::process::Command;

use containarium_core::Role;
use containarium_testkit::{Answer, Key, TestDaemon, program, small};
use serde_json::json;

use super::start;

/// What `containarium token` says of alice with the daemon's own secret.
pub(crate) fn token((variable, secret): (&str, String), arguments: &[&str]) -> String {
    let ran = Command::new(program("containarium"))
        .args([
            "token",
            "generate",
            "--username",
            "alice",
            "--roles",
            "user",
        ])
        .args(arguments)
        .env(variable, secret)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

async fn create(daemon: &TestDaemon, token: &str, username: &str, key: &Key) -> Answer {
    let ask = serde_json::to_string(&small(username, key, json!({}))).unwrap();
    daemon
        .ask("POST", "/v1/containers", Some(token), Some(&ask))
        .await
}

async fn ask(daemon: &TestDaemon, token: &str, method: &str, path: &str) -> Answer {
    daemon.ask(method, path, Some(token), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_key_opens_its_own_doors_and_no_other() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let all = daemon.token("alice", &[Role::User]);
    let web = create(&daemon, &all, "web", &key).await;
    assert_eq!(web.status, 201, "{web:?}");

    let agent = token(
        daemon.secret_variable(),
        &["--only", "agent-*", "--max", "1"],
    );
    let made = create(&daemon, &agent, "agent-1", &key).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = serde_json::from_value(made.json()["container"].clone()).unwrap();
    assert_eq!(key.login(&made).says("id -un").await, "agent-1");
    let more = create(&daemon, &agent, "agent-2", &key).await;
    assert_eq!(
        (more.status, more.reason().as_str()),
        (403, "quota_exceeded")
    );
    let other = create(&daemon, &agent, "db", &key).await;
    assert_eq!((other.status, other.reason().as_str()), (403, "forbidden"));
    for (method, path) in [
        ("GET", "/v1/containers/web"),
        ("POST", "/v1/containers/web/stop"),
        ("DELETE", "/v1/containers/web?force=true"),
    ] {
        let hidden = ask(&daemon, &agent, method, path).await;
        assert_eq!(hidden.status, 404, "{method} {path}: {hidden:?}");
    }
    let list = ask(&daemon, &agent, "GET", "/v1/containers").await.json();
    assert_eq!(list["totalCount"], 1, "{list}");

    let looker = token(daemon.secret_variable(), &["--read-only"]);
    let list = ask(&daemon, &looker, "GET", "/v1/containers").await.json();
    assert_eq!(list["totalCount"], 2, "{list}");
    let stop = ask(&daemon, &looker, "POST", "/v1/containers/agent-1/stop").await;
    assert_eq!((stop.status, stop.reason().as_str()), (403, "forbidden"));

    // One that is deleted leaves its place, which is taken when it comes back.
    let gone = ask(
        &daemon,
        &agent,
        "DELETE",
        "/v1/containers/agent-1?force=true",
    )
    .await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let second = create(&daemon, &agent, "agent-2", &key).await;
    assert_eq!(second.status, 201, "{second:?}");
    let back = ask(&daemon, &agent, "POST", "/v1/containers/agent-1/undelete").await;
    assert_eq!(
        (back.status, back.reason().as_str()),
        (403, "quota_exceeded")
    );
}
