//! A model must not take a simulation for something real.

use serde_json::{Value, json};

use super::{
    daemon::{Daemon, OPERATION, answer},
    session::call,
};

const SAID: &str = "SIMULATED: nothing real is created.";

/// Every tool, with arguments that it takes.
fn calls() -> [(&'static str, Value); 11] {
    let alice = || json!({"username": "alice"});
    [
        ("create_container", alice()),
        ("list_containers", json!({})),
        ("get_container", alice()),
        ("delete_container", alice()),
        ("start_container", alice()),
        ("stop_container", alice()),
        ("undelete_container", alice()),
        ("get_operation", json!({"id": OPERATION})),
        ("cancel_operation", json!({"id": OPERATION})),
        ("get_metrics", json!({})),
        ("get_system_info", json!({})),
    ]
}

#[tokio::test]
async fn the_first_line_of_every_answer_says_that_nothing_real_is_created() {
    let daemon = Daemon::simulated(|asked| (200, answer(asked).to_string())).await;
    for (tool, arguments) in calls() {
        let result = call(&daemon, tool, arguments).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, SAID, "{tool}");
        // What programs read is as ever.
        let shown: Value = serde_json::from_str(rest).unwrap();
        assert_eq!(shown, result["structuredContent"], "{tool}");
    }
}

#[tokio::test]
async fn a_failure_opens_as_ever_and_says_it_too() {
    let body = r#"{"error":"there is no container of alice","code":404,"reason":"not_found"}"#;
    let daemon = Daemon::simulated(move |_| (404, body.to_owned())).await;
    for (tool, arguments) in calls() {
        let result = call(&daemon, tool, arguments).await;
        assert_eq!(result["isError"], true);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("API error (status 404): {"), "{text}");
        assert_eq!(result["content"][1]["text"], SAID, "{tool}");
    }
}

#[tokio::test]
async fn of_a_real_daemon_nothing_is_said() {
    let daemon = Daemon::start().await;
    for (tool, arguments) in calls() {
        let result = call(&daemon, tool, arguments).await;
        assert!(
            !result.to_string().contains("SIMULATED"),
            "{tool}: {result}"
        );
    }
}
