//! A session with the built `mcp-server`, over its stdin and stdout, as an MCP client has it.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::{TestDaemon, program::program, wait_for};

/// Longer than any call may take.
const CALL: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(30);

/// One `mcp-server` and our side of its pipes.
pub struct McpSession {
    server: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    last: u64,
    /// What the person answers, where there is one who can be asked.
    person: Option<Value>,
    asked: Vec<String>,
}

/// What is heard of a call that is under way.
#[derive(Clone, Debug)]
pub enum Heard {
    /// How far it is: the notification's params.
    Progress(Value),
    /// Its end.
    Done(ToolResult),
}

/// What a tool gave.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// Whether it says that it failed.
    pub is_error: bool,
    /// Its text.
    pub text: String,
    /// Its structured content; null where there is none.
    pub structured: Value,
}

impl ToolResult {
    fn of(message: &Value) -> Self {
        assert!(message.get("error").is_none(), "{message}");
        let result = &message["result"];
        let text = result["content"][0]["text"].as_str();
        Self {
            is_error: result["isError"] == true,
            text: text.unwrap_or_default().to_owned(),
            structured: result["structuredContent"].clone(),
        }
    }
}

impl McpSession {
    /// Starts the program beside this test's own, and shakes hands.
    pub async fn with(daemon: &TestDaemon) -> Self {
        Self::of(Self::server(&daemon.url, &daemon.admin_token())).await
    }

    /// The program beside this test's own, for the daemon at `url`.
    pub fn server(url: &str, token: &str) -> Command {
        let mut server = Command::new(program("mcp-server"));
        server
            .env("CONTAINARIUM_SERVER_URL", url)
            .env("CONTAINARIUM_JWT_TOKEN", token);
        server
    }

    /// Starts this program, and shakes hands.
    pub async fn of(server: Command) -> Self {
        Self::greeted(server, None).await
    }

    /// The same as a client that can ask a person, who declines until [`Self::person_says`] otherwise.
    pub async fn before_a_person(server: Command) -> Self {
        Self::greeted(server, Some(json!({"action": "decline"}))).await
    }

    async fn greeted(mut server: Command, person: Option<Value>) -> Self {
        let can = match &person {
            Some(_) => json!({"elicitation": {"form": {}}}),
            None => json!({}),
        };
        let mut server = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let to = server.stdin.take().unwrap();
        let from = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut session = Self {
            server,
            to,
            from,
            last: 0,
            person,
            asked: Vec::new(),
        };
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": can,
            "clientInfo": {"name": "test", "version": "1"},
        });
        let greeted = session.request("initialize", hello).await;
        assert_eq!(
            greeted["result"]["serverInfo"]["name"], "containarium",
            "{greeted}"
        );
        session
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        session
    }

    /// The names of the tools.
    pub async fn tools(&mut self) -> Vec<String> {
        let told = self.request("tools/list", json!({})).await;
        let tools = told["result"]["tools"].as_array().unwrap();
        let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
        tools.iter().map(name).collect()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.server.id().unwrap()
    }

    /// Ends it as a client does: by closing its stdin.
    pub async fn stop(self) {
        let Self { mut server, to, .. } = self;
        drop(to);
        server.wait().await.unwrap();
    }

    /// What the person answers from now on.
    pub fn person_says(&mut self, answer: Value) {
        assert!(self.person.is_some(), "nobody can be asked");
        self.person = Some(answer);
    }

    /// What the person has been asked since the last look.
    pub fn questions(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// Calls one tool.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> ToolResult {
        self.call_at_once(&[(tool, arguments)]).await.remove(0)
    }

    /// Calls one tool that must succeed; its structured content.
    pub async fn must(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert!(!result.is_error, "{tool}: {}", result.text);
        result.structured
    }

    /// Calls one tool that the server does not take; its reason.
    pub async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let call = json!({"name": tool, "arguments": arguments});
        let told = self.request("tools/call", call).await;
        let reason = told["error"]["message"].as_str();
        reason.unwrap_or_else(|| panic!("{told}")).to_owned()
    }

    /// Begins one call and wants to be told of its progress; its id.
    pub async fn begins(&mut self, tool: &str, arguments: Value) -> u64 {
        let token = self.last + 1;
        let call = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.begin("tools/call", call).await
    }

    /// What is heard next of a call that was begun.
    pub async fn hears(&mut self, id: u64) -> Heard {
        loop {
            let message = self.read().await;
            if message["id"] == id {
                return Heard::Done(ToolResult::of(&message));
            }
            if message["method"] == "notifications/progress"
                && message["params"]["progressToken"] == id
            {
                return Heard::Progress(message["params"].clone());
            }
        }
    }

    /// Says that nobody wants a call any more.
    pub async fn cancels(&mut self, id: u64) {
        let method = "notifications/cancelled";
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": {"requestId": id}}))
            .await;
    }

    /// Makes, shows, stops, starts and deletes a container as the handbook does, with all eight tools,
    /// on a daemon that has none.
    pub async fn does_the_handbooks_lifecycle(&mut self) {
        let user = json!({"username": "testuser"});
        let small = json!({"username": "testuser", "cpu": "1", "memory": "512MB", "disk": "3GB"});
        let made = self.must("create_container", small).await;
        assert_eq!(made["container"]["state"], "running");
        assert!(
            made["message"]
                .as_str()
                .unwrap()
                .contains("Nobody can log in"),
            "{made}"
        );
        let got = self.must("get_container", user.clone()).await;
        assert_eq!(got["container"]["name"], "testuser-container");
        assert_eq!(
            self.must("list_containers", json!({})).await["totalCount"],
            1
        );
        // An engine that is busy for a moment may be told as unreachable.
        wait_for(SOON, "it is measured", async || {
            let metrics = self.must("get_metrics", json!({})).await;
            match metrics["metrics"][0]["memoryUsageBytes"].as_u64() {
                Some(1..) => Ok(()),
                Some(0) | None => Err(metrics),
            }
        })
        .await;
        let info = self.must("get_system_info", json!({})).await;
        assert_eq!(info["info"]["containersRunning"], 1);

        let refused = self.call("delete_container", user.clone()).await;
        assert!(
            refused.is_error && refused.text.starts_with("API error (status 409): {"),
            "{refused:?}"
        );
        assert!(
            refused.text.contains("\"force\":true"),
            "the way out: {}",
            refused.text
        );
        let stopped = self.must("stop_container", user.clone()).await;
        assert_eq!(stopped["container"]["state"], "stopped");
        assert_eq!(
            self.must("start_container", user.clone()).await["container"]["state"],
            "running"
        );
        self.must(
            "stop_container",
            json!({"username": "testuser", "force": true}),
        )
        .await;
        self.must("delete_container", user).await;
    }

    /// Sends all calls before it reads an answer; the results in the order of the calls.
    pub async fn call_at_once(&mut self, calls: &[(&str, Value)]) -> Vec<ToolResult> {
        let mut ids = Vec::new();
        for (tool, arguments) in calls {
            ids.push(
                self.begin("tools/call", json!({"name": tool, "arguments": arguments}))
                    .await,
            );
        }
        let mut results = vec![None; ids.len()];
        while results.iter().any(Option::is_none) {
            let message = self.read().await;
            let Some(place) = ids.iter().position(|id| message["id"] == *id) else {
                continue;
            };
            *results.get_mut(place).unwrap() = Some(ToolResult::of(&message));
        }
        results.into_iter().flatten().collect()
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        loop {
            let message = self.read().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    async fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        id
    }

    async fn send(&mut self, message: &Value) {
        self.to
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
        self.to.flush().await.unwrap();
    }

    /// The next message that is not a question to the person, which is answered.
    async fn read(&mut self) -> Value {
        loop {
            let line = timeout(CALL, self.from.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("mcp-server said nothing for {CALL:?}"));
            let line = line.unwrap().unwrap_or_else(|| panic!("mcp-server ended"));
            let message: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if message["method"] != "elicitation/create" {
                return message;
            }
            let answer = self.person.clone();
            let answer = answer.unwrap_or_else(|| panic!("nobody can be asked: {message}"));
            let question = message["params"]["message"].as_str().unwrap();
            self.asked.push(question.to_owned());
            self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": answer}))
                .await;
        }
    }
}
