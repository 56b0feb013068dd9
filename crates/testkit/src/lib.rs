//! What a test of the whole needs: a daemon of its own, callers with tokens, logins, a session with
//! `mcp-server`, and power over the engine. For tests only: whatever fails here panics and says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(
    clippy::indexing_slicing,
    reason = "a field that is missing fails the test that wants it"
)]

mod answer;
mod bed;
pub mod bench;
pub mod chaos;
mod daemon;
mod empties;
mod engine;
mod events;
mod image_server;
mod junk;
mod laptop;
mod listening;
mod login;
mod mcp_session;
mod program;
mod quick_guest;
mod reference;
pub mod scale;
mod simulated;
mod slate;
mod wait;

pub use answer::Answer;
pub use bed::Bed;
pub use daemon::{TestDaemon, small};
pub use empties::{empty, make_empties, make_empties_of, remove_empties};
pub use engine::{Engine, Paused};
pub use events::Listener;
pub use image_server::{ImageServer, ServedImage};
pub use junk::{Junk, seed, share_or_all};
pub use laptop::Laptop;
pub use listening::{Listening, Message};
pub use login::{Key, Login, Said};
pub use mcp_session::{Heard, McpSession, ToolResult};
pub use program::program;
pub use reference::Reference;
pub use simulated::Simulated;
pub use wait::wait_for;
