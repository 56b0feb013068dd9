//! The MCP server: its tools, its program, and sequences of calls. One binary for all of it: each costs a link.

mod mcp;
mod sequences;
