//! A person before a client of either era of the protocol, as its messages travel.

use containarium_mcp::Tools;
use serde_json::{Value, json};

use super::{daemon::Daemon, session::Typist};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Era {
    Handshake,
    Metadata,
}

pub(crate) const ERAS: [Era; 2] = [Era::Handshake, Era::Metadata];

/// A person before a client.
pub(crate) struct Person {
    pub(crate) typist: Typist,
    pub(crate) era: Era,
    can: Value,
}

impl Person {
    /// Whose client can do this.
    pub(crate) async fn with(tools: impl Into<Tools>, era: Era, can: Value) -> Self {
        let typist = Typist::before(tools);
        Self { typist, era, can }
    }

    /// Whose client can ask them.
    pub(crate) async fn before(daemon: &Daemon, era: Era) -> Self {
        Self::with(daemon.client(), era, json!({"elicitation": {"form": {}}})).await
    }

    /// The next message after this request.
    pub(crate) async fn asks(&mut self, method: &str, mut params: Value) -> Value {
        if self.era == Era::Metadata {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": self.can,
            });
        }
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.typist.types(&line.to_string()).await;
        self.typist.reads().await
    }

    pub(crate) async fn greets(&mut self) -> Value {
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": self.can,
            "clientInfo": {"name": "test", "version": "1"},
        });
        match self.era {
            Era::Handshake => self.asks("initialize", hello).await,
            Era::Metadata => self.asks("server/discover", json!({})).await,
        }
    }

    /// Calls a tool, with further fields beside its arguments; the next message.
    pub(crate) async fn calls(&mut self, tool: &str, arguments: Value, more: Value) -> Value {
        let mut params = json!({"name": tool, "arguments": arguments});
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        self.asks("tools/call", params).await
    }
}
