//! A hint that names a tool names one that exists, with arguments that fit it.

use containarium_contract::{Face, Hint};
use serde_json::{Value, json};

use crate::{daemon::Daemon, session::call};

fn every_hint() -> Vec<Hint> {
    let alice = || "alice".parse().unwrap();
    let hints = vec![
        Hint::List,
        Hint::Get(alice()),
        Hint::Stop(alice()),
        Hint::StopForce(alice()),
        Hint::Start(alice()),
        Hint::DeleteForce(alice()),
        Hint::CreateAs(alice()),
        Hint::CreateFrom(alice(), "images:debian/12".parse().unwrap()),
        Hint::CreateWithDisk(alice(), "50GB".parse().unwrap()),
        Hint::MintToken,
        Hint::Init,
        Hint::CheckEngine,
        Hint::Write {
            field: "cpu".into(),
            example: "4".into(),
        },
    ];
    // A hint that is added must be added above: this stops compiling until it is here too.
    for hint in &hints {
        match hint {
            Hint::List
            | Hint::Get(_)
            | Hint::Stop(_)
            | Hint::StopForce(_)
            | Hint::Start(_)
            | Hint::DeleteForce(_)
            | Hint::CreateAs(_)
            | Hint::CreateFrom(..)
            | Hint::CreateWithDisk(..)
            | Hint::MintToken
            | Hint::Init
            | Hint::CheckEngine
            | Hint::Write { .. } => {}
        }
    }
    hints
}

#[tokio::test]
async fn every_call_that_a_hint_proposes_is_taken() {
    let daemon = Daemon::start().await;
    let mut called = 0;
    for hint in every_hint() {
        let text = hint.render(Face::Mcp);
        let Some(proposed) = text.strip_prefix("call ") else {
            continue;
        };
        let (tool, arguments) = match proposed.split_once(" with ") {
            Some((tool, arguments)) => (tool, serde_json::from_str(arguments).unwrap()),
            None => (proposed, json!({})),
        };
        let tool: &'static str = tool.to_owned().leak();
        let result: Value = call(&daemon, tool, arguments).await;
        assert_ne!(result["isError"], true, "{text}: {result}");
        called += 1;
    }
    assert_eq!(called, 9);
}
