//! A hint that names a tool names one that exists, with arguments that fit it.

use containarium_contract::{Face, Hint};
use serde_json::{Value, json};

use super::{daemon::Daemon, session::call};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";

#[tokio::test]
async fn every_call_that_a_hint_proposes_is_taken() {
    let daemon = Daemon::start().await;
    let mut called = 0;
    for hint in Hint::examples() {
        let text = hint.render(Face::Mcp);
        let Some(proposed) = text.strip_prefix("call ") else {
            continue;
        };
        let (tool, arguments) = match proposed.split_once(" with ") {
            Some((tool, arguments)) => {
                // What only the reader has.
                let arguments = arguments.replace("ssh-ed25519 …", KEY);
                (tool, serde_json::from_str(&arguments).unwrap())
            }
            None => (proposed, json!({})),
        };
        let tool: &'static str = tool.to_owned().leak();
        let result: Value = call(&daemon, tool, arguments).await;
        // One that a person is to agree to is understood, too.
        let asks = result.to_string().contains("cannot ask a person");
        assert_eq!(asks, tool == "purge_container", "{text}: {result}");
        assert!(asks || result["isError"] != true, "{text}: {result}");
        called += 1;
    }
    assert_eq!(called, 16);
}
