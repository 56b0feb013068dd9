//! What MCP adds to a call, and what its server needs.

use std::process::Stdio;

use serde_json::json;

use super::{
    lives::Since,
    machine::{most_resident, resident},
    place::Place,
    progress::Progress,
    subject::{ADDED_MCP_GET, MCP_IDLE, MCP_LOAD, MCP_START, PAGE_HTTP, PAGE_REST, PAGE_STDIO},
    tally::Tally,
    way::Way,
};
use crate::McpSession;

/// So many calls a round: they are short.
const CALLS: u32 = 5;

/// Starts the server and asks for its tools at once, as a client that has already decided does; answers
/// when it has told them.
async fn started(place: &Place) -> McpSession {
    let mut server = place.program("mcp-server");
    server.stderr(Stdio::null());
    let mut mcp = McpSession::of(server).await;
    assert!(!mcp.tools().await.is_empty(), "it has no tools");
    mcp
}

/// Its start-up, and idle memory.
pub(super) async fn start_ups(place: &Place, tally: &mut Tally, rounds: u32) {
    let mut progress = Progress::of("start-up of mcp-server", rounds);
    for round in 0..=rounds {
        progress.round(round);
        let since = Since::now();
        let mcp = started(place).await;
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
    let mut mcp = started(place).await;
    let get = format!("/v1/containers/{username}");
    let who = json!({"username": username});
    let at = Some(many);
    let tried = [
        mcp.call("list_containers", json!({})).await,
        mcp.call("get_container", who.clone()).await,
    ];
    if let Some(failed) = tried.iter().find(|one| one.is_error)
        && place.own.is_none()
    {
        eprintln!("bench: mcp-server: {}", failed.text);
        let why = "what MCP adds: mcp-server does not read this daemon's answers";
        tally.left_out.push(why.to_owned());
        mcp.stop().await;
        return;
    }
    let kept = place.rest.kept();
    let has_endpoint = kept.tool("list_containers", json!({})).await;
    let mut progress = Progress::of("calls through MCP", rounds * CALLS);
    for round in 0..rounds * CALLS {
        progress.round(round + 1);
        let since = Since::now();
        kept.read("/v1/containers?limit=50").await;
        tally.note_at(&PAGE_REST, at, Way::Ours, since.ms());
        let since = Since::now();
        mcp.must("list_containers", json!({})).await;
        tally.note_at(&PAGE_STDIO, at, Way::Ours, since.ms());
        if has_endpoint {
            let since = Since::now();
            assert!(kept.tool("list_containers", json!({})).await);
            tally.note_at(&PAGE_HTTP, at, Way::Ours, since.ms());
        }

        let since = Since::now();
        place.rest.read(&get).await;
        let rest = since.ms();
        let since = Since::now();
        mcp.must("get_container", who.clone()).await;
        tally.note(&ADDED_MCP_GET, Way::Ours, since.ms() - rest);
    }
    tally.note(&MCP_LOAD, Way::Ours, most_resident(mcp.pid()));
    mcp.stop().await;
}
