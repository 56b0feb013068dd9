//! What MCP adds to a call, and what its server needs.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use super::{
    lives::Since,
    machine::{most_resident, resident},
    place::Place,
    subject::{ADDED_MCP_GET, ADDED_MCP_LIST, MCP_IDLE, MCP_LOAD, MCP_START},
    tally::Tally,
    way::Way,
};

/// So many calls a round: they are short.
const CALLS: u32 = 5;

/// An `mcp-server` and our side of its pipes.
struct Mcp {
    server: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    last: u64,
}

impl Mcp {
    /// Starts it and asks for its tools at once, as a client that has already decided does; answers
    /// when it has told them.
    async fn start(place: &Place) -> Self {
        let mut server = place
            .program("mcp-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = server.stdin.take().unwrap();
        let from = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut mcp = Self {
            server,
            to,
            from,
            last: 0,
        };
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        });
        mcp.ask("initialize", hello).await;
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        let told = mcp.ask("tools/list", json!({})).await;
        assert!(
            told["tools"].as_array().is_some_and(|all| !all.is_empty()),
            "{told}"
        );
        mcp
    }

    async fn send(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.to.write_all(line.as_bytes()).await.unwrap();
        self.to.flush().await.unwrap();
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        loop {
            let line = self.from.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("mcp-server ended in {method}"));
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].clone();
            }
        }
    }

    /// Calls a tool; false, with the reason told, where it failed.
    async fn try_call(&mut self, tool: &str, arguments: Value) -> bool {
        let result = self
            .ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await;
        let failed = result["isError"] == true;
        if failed {
            eprintln!("bench: {tool}: {result}");
        }
        !failed
    }

    async fn call(&mut self, tool: &str, arguments: Value) {
        assert!(self.try_call(tool, arguments).await, "{tool} failed");
    }

    fn pid(&self) -> u32 {
        self.server.id().unwrap()
    }

    /// Ends as its client does: by closing its stdin.
    async fn stop(self) {
        let Self { mut server, to, .. } = self;
        drop(to);
        server.wait().await.unwrap();
    }
}

/// Its start-up, and idle memory.
pub(super) async fn start_ups(place: &Place, tally: &mut Tally, rounds: u32) {
    for round in 0..=rounds {
        let since = Since::now();
        let mcp = Mcp::start(place).await;
        let took = since.ms();
        if round > 0 {
            tally.note(&MCP_START, Way::Ours, took);
            tally.note(&MCP_IDLE, Way::Ours, resident(mcp.pid()));
        }
        mcp.stop().await;
    }
}

/// Lists of the `many` containers there are and gets of one, through REST and MCP in turn.
pub(super) async fn calls(
    place: &Place,
    tally: &mut Tally,
    many: u32,
    username: &str,
    rounds: u32,
) {
    let mut mcp = Mcp::start(place).await;
    let (list, get) = ("/v1/containers", format!("/v1/containers/{username}"));
    let who = json!({"username": username});
    let at = Some(many);
    let first = mcp.try_call("list_containers", json!({})).await
        && mcp.try_call("get_container", who.clone()).await;
    if !first && place.own.is_none() {
        let why = "what MCP adds: mcp-server does not read this daemon's answers";
        tally.left_out.push(why.to_owned());
        mcp.stop().await;
        return;
    }
    for _ in 0..rounds * CALLS {
        let since = Since::now();
        place.rest.read(list).await;
        let rest = since.ms();
        let since = Since::now();
        mcp.call("list_containers", json!({})).await;
        tally.note_at(&ADDED_MCP_LIST, at, Way::Ours, since.ms() - rest);

        let since = Since::now();
        place.rest.read(&get).await;
        let rest = since.ms();
        let since = Since::now();
        mcp.call("get_container", who.clone()).await;
        tally.note(&ADDED_MCP_GET, Way::Ours, since.ms() - rest);
    }
    tally.note(&MCP_LOAD, Way::Ours, most_resident(mcp.pid()));
    mcp.stop().await;
}
