//! Containarium's REST API as typed calls: [`Client::call`] takes any [`Endpoint`] and gives its answer.
//!
//! A change is named by a key of the caller's, so that one whose answer was lost is asked for again
//! and made once; [`Client::follow`] watches the operation that makes it.
//!
//! For the faces that speak to a daemon over HTTP (the command and the MCP server). Not for showing
//! anything: an answer is a value, a failure is a [`CallError`] with its one sentence and its hint.
//!
//! [`Endpoint`]: containarium_contract::Endpoint

mod again;
mod base_url;
mod call_error;
mod client;
mod dial;
mod events;
mod operations;
mod projection;
mod reply;
mod sse;
mod token;
mod tunnel;

pub use base_url::{BaseUrl, NotABaseUrl};
pub use call_error::{CallError, Why};
pub use client::{Client, NoClient};
pub use events::Events;
pub use operations::{Begun, doing};
pub use token::{Token, TokenError, TokenSays};
pub use tunnel::{Tunnel, TunnelEnded};
