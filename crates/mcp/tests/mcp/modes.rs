//! How much is offered: what a flag or its variable takes away is neither listed nor done.

use containarium_testkit::{Simulated, TestDaemon};
use serde_json::{Value, json};

use super::{daemon::Daemon, program::run};

const READS: [&str; 8] = [
    "list_containers",
    "get_container",
    "get_metrics",
    "get_system_info",
    "list_ssh_keys",
    "list_images",
    "list_operations",
    "get_operation",
];

fn request(id: u32, method: &str, params: Value) -> String {
    let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    format!("{request}\n")
}

fn call(id: u32, tool: &str, username: &str) -> String {
    let params = json!({"name": tool, "arguments": {"username": username}});
    request(id, "tools/call", params)
}

/// What the program answers to the request with each id, from 1 on.
async fn answers(
    environment: &[(&str, &str)],
    arguments: &[&str],
    requests: &[String],
) -> Vec<Value> {
    let hello = request(0, "initialize", json!({}));
    let output = run(environment, arguments, &(hello + &requests.concat())).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let answers: Vec<Value> = answers.collect();
    let of = |id| answers.iter().find(|answer| answer["id"] == id).unwrap();
    (1..=requests.len()).map(|id| of(id).clone()).collect()
}

fn names(listed: &Value) -> Vec<&str> {
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

/// The environment of `daemon`, and these variables.
fn environment<'a>(
    url: &'a str,
    token: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut environment = vec![
        ("CONTAINARIUM_SERVER_URL", url),
        ("CONTAINARIUM_JWT_TOKEN", token),
    ];
    environment.extend(more);
    environment
}

#[tokio::test]
async fn a_flag_and_its_variable_hide_the_same_tools_and_refuse_them() {
    let sets = [
        "list_ssh_keys",
        "add_ssh_key",
        "remove_ssh_key",
        "list_operations",
        "get_operation",
        "cancel_operation",
    ];
    for (flag, variable, value, offered, refused) in [
        ("--read-only", "READ_ONLY", "", &READS[..], "stop_container"),
        (
            "--toolsets",
            "TOOLSETS",
            "ssh-keys,operations",
            &sets,
            "get_container",
        ),
        (
            "--tools",
            "TOOLS",
            "get_metrics,list_containers",
            &["list_containers", "get_metrics"],
            "purge_container",
        ),
    ] {
        let daemon = Daemon::start().await;
        let requests = [
            request(1, "tools/list", json!({})),
            call(2, refused, "alice"),
            call(3, "no_such_tool", "alice"),
        ];
        let variable = format!("CONTAINARIUM_{variable}");
        let arguments = if value.is_empty() {
            vec![flag]
        } else {
            vec![flag, value]
        };
        let value = if value.is_empty() { "true" } else { value };
        for (arguments, variables) in [
            (arguments, vec![]),
            (vec![], vec![(variable.as_str(), value)]),
        ] {
            let environment = environment(&daemon.url, "eyJx", &variables);
            let told = answers(&environment, &arguments, &requests).await;
            assert_eq!(names(&told[0]), offered, "{flag}");
            let said = told[1]["error"]["message"].as_str().unwrap();
            let by = said.strip_prefix(&format!("{refused} is not offered: "));
            assert!(by.is_some_and(|by| by.contains(flag)), "{flag}: {said}");
            // Nor are they proposed.
            let said = told[2]["error"]["message"].as_str().unwrap();
            let wanted = format!("the tools are {}", offered.join(", "));
            assert!(said.ends_with(&wanted), "{flag}: {said}");
        }
        assert_eq!(daemon.asked(), [], "{flag}");
    }
}

#[tokio::test]
async fn what_is_taken_away_by_name_or_by_effect_is_gone_and_all_else_is_there() {
    for (flag, variable, value, gone) in [
        (
            "--disable-destructive",
            "DISABLE_DESTRUCTIVE",
            "",
            ["delete_container", "remove_ssh_key", "purge_container"],
        ),
        (
            "--exclude-tools",
            "EXCLUDE_TOOLS",
            "stop_container,create_container,get_metrics",
            ["create_container", "stop_container", "get_metrics"],
        ),
    ] {
        let daemon = Daemon::start().await;
        let [one, two, three] = gone;
        let requests = [
            request(1, "tools/list", json!({})),
            call(2, one, "alice"),
            call(3, two, "alice"),
            call(4, three, "alice"),
        ];
        let variable = format!("CONTAINARIUM_{variable}");
        let arguments = if value.is_empty() {
            vec![flag]
        } else {
            vec![flag, value]
        };
        let value = if value.is_empty() { "1" } else { value };
        for (arguments, variables) in [
            (arguments, vec![]),
            (vec![], vec![(variable.as_str(), value)]),
        ] {
            let environment = environment(&daemon.url, "eyJx", &variables);
            let told = answers(&environment, &arguments, &requests).await;
            let offered = names(&told[0]);
            assert_eq!(offered.len(), 14, "{flag}: {offered:?}");
            for (told, tool) in told[1..].iter().zip(gone) {
                assert!(!offered.contains(&tool), "{flag}: {offered:?}");
                let wanted = format!("{tool} is not offered: {flag} takes it away");
                assert_eq!(told["error"]["message"], wanted);
            }
        }
        assert_eq!(daemon.asked(), [], "{flag}");
    }
}

#[tokio::test]
async fn flags_together_offer_what_each_of_them_leaves() {
    let daemon = Daemon::start().await;
    let environment = environment(&daemon.url, "eyJx", &[]);
    let list = [request(1, "tools/list", json!({}))];
    for (line, offered) in [
        (
            "--toolsets operations --tools get_metrics",
            &[
                "get_metrics",
                "list_operations",
                "get_operation",
                "cancel_operation",
            ][..],
        ),
        (
            "--toolsets operations --exclude-tools list_operations --read-only",
            &["get_operation"],
        ),
        (
            "--tools purge_container,get_container --disable-destructive",
            &["get_container"],
        ),
        ("--tools get_container --exclude-tools get_container", &[]),
        ("--read-only --tools stop_container", &[]),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let told = answers(&environment, &arguments, &list).await;
        assert_eq!(names(&told[0]), offered, "{line}");
    }
}

#[tokio::test]
async fn a_variable_that_says_no_takes_nothing_away() {
    let daemon = Daemon::start().await;
    let list = [request(1, "tools/list", json!({}))];
    for no in ["false", "0", "no", "off", ""] {
        let variables = [
            ("CONTAINARIUM_READ_ONLY", no),
            ("CONTAINARIUM_DISABLE_DESTRUCTIVE", no),
        ];
        let environment = environment(&daemon.url, "eyJx", &variables);
        let told = answers(&environment, &[], &list).await;
        assert_eq!(names(&told[0]).len(), 17, "{no:?}");
    }
}

#[tokio::test]
async fn a_name_that_there_is_not_ends_the_start_and_names_the_nearest() {
    for (flag, variable, given, says) in [
        ("--toolsets", "TOOLSETS", "operation", "operations"),
        (
            "--tools",
            "TOOLS",
            "list_containers,get_containr",
            "did you mean `get_container`?",
        ),
        (
            "--exclude-tools",
            "EXCLUDE_TOOLS",
            "purge",
            "did you mean `purge_container`?",
        ),
        (
            "--exclude-tools",
            "EXCLUDE_TOOLS",
            "zzz",
            "the tools are create_container, ",
        ),
        ("--only", "ONLY", "agent-*,*", "such as `agent-*`"),
        ("--max", "MAX", "five", "'five'"),
    ] {
        let variable = format!("CONTAINARIUM_{variable}");
        for (arguments, more) in [
            (vec![flag, given], vec![]),
            (vec![], vec![(variable.as_str(), given)]),
        ] {
            let environment = environment("http://127.0.0.1:1", "eyJx", &more);
            let output = run(&environment, &arguments, "").await;
            assert!(!output.status.success(), "{flag} {given}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains(says), "{flag} {given}: {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_holds_to_which_containers_there_are_and_how_many() {
    let there = Simulated::on(235).await;
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let token = daemon.admin_token();
    let one = |tool, name| [call(1, tool, name)];
    let only = &["--only", "agent-,bob"][..];
    let max = &[("CONTAINARIUM_ONLY", "agent-*"), ("CONTAINARIUM_MAX", "1")][..];
    let looks = &[("CONTAINARIUM_READ_ONLY", "true")][..];
    for (arguments, variables, tool, name, says) in [
        (&[][..], &[][..], "create_container", "alice", None),
        (only, &[], "create_container", "bob", None),
        (only, &[], "create_container", "agent-1", None),
        (
            only,
            &[],
            "create_container",
            "carol",
            Some("agent-* or bob"),
        ),
        (
            only,
            &[],
            "get_container",
            "alice",
            Some("no container of alice"),
        ),
        (&[], max, "create_container", "bob2", Some("agent-*")),
        (&[], max, "create_container", "agent-2", Some("1")),
        (
            &["--max", "3"],
            &[],
            "create_container",
            "agent-2",
            Some("3"),
        ),
        (&["--max", "4"], &[], "create_container", "agent-2", None),
        (&[], looks, "get_container", "alice", None),
    ] {
        let environment = environment(&daemon.url, &token, variables);
        let told = answers(&environment, arguments, &one(tool, name)).await;
        let shown = format!("{arguments:?} {variables:?} {tool} {name}: {}", told[0]);
        let result = &told[0]["result"];
        assert_eq!(result["isError"] == true, says.is_some(), "{shown}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(says.unwrap_or_default()), "{shown}");
    }
    let environment = environment(&daemon.url, &token, &[]);
    let params = json!({"name": "list_containers", "arguments": {}});
    let list = [request(1, "tools/call", params)];
    for (arguments, count) in [(&[][..], 4), (only, 3), (&["--only", "alice"], 1)] {
        let told = answers(&environment, arguments, &list).await;
        let total = &told[0]["result"]["structuredContent"]["totalCount"];
        assert_eq!(total, count, "{arguments:?}");
    }
}

#[tokio::test]
async fn the_model_is_told_what_the_modes_leave() {
    let daemon = Daemon::start().await;
    let environment = environment(&daemon.url, "eyJx", &[]);
    for (line, says) in [
        (
            "--read-only",
            "This server is read-only: nothing can be changed.",
        ),
        (
            "--only agent-,bob",
            "Only containers named agent-*, bob exist here.",
        ),
        ("--max 5", "At most 5 containers."),
        ("--allow-irreversible", "--allow-irreversible is on: "),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let hello = request(0, "initialize", json!({}));
        let output = run(&environment, &arguments, &hello).await;
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let told = told["result"]["instructions"].as_str().unwrap();
        assert!(told.starts_with(says), "{line}: {told}");
    }
}
