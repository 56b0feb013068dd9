//! Containarium as tools for a model: MCP over the REST API.
//!
//! [`Tools`] answers MCP requests by calling a daemon through [`containarium_client::Client`];
//! [`serve`] does so over two byte streams, which the `mcp-server` program makes its stdin and
//! stdout. Both eras of the protocol are spoken: the `initialize` handshake (up to 2025-11-25) and
//! `server/discover` with metadata in every request (2026-07-28).
//!
//! Nothing is decided here: a tool's arguments become a request, its answer is the REST answer.

mod add_key;
mod call;
mod cancel_operation;
mod changed;
mod completions;
mod create;
mod debug_log;
mod delete;
mod get;
mod get_operation;
mod http;
mod info;
mod instructions;
mod list;
mod list_images;
mod list_keys;
mod list_operations;
mod metrics;
mod modes;
mod own_key;
mod progress;
mod prompts;
mod purge;
mod remove_key;
mod repair;
mod resources;
mod schema;
mod seal;
mod secrets;
mod serve;
mod settings;
mod start;
mod stdio;
mod stop;
mod tool;
mod tools;
mod undelete;
mod untrusted;
mod word;

pub use debug_log::DebugLog;
pub use http::Endpoint;
pub use modes::{Modes, NoSuchTool};
pub use own_key::{NoOwnKey, OwnKey};
pub use serve::{ServeError, serve, serve_stdio};
pub use settings::{BadSettings, Settings};
pub use tool::Toolset;
pub use tools::Tools;
