//! Containarium's REST API as typed calls: [`Client::call`] takes any [`Endpoint`] and gives its answer.
//!
//! For the faces that speak to a daemon over HTTP (the command and the MCP server). Not for showing
//! anything: an answer is a value, a failure is a [`CallError`] with its one sentence and its hint.
//!
//! [`Endpoint`]: containarium_contract::Endpoint

mod base_url;
mod call_error;
mod client;
mod dial;
mod preparation;
mod projection;
mod token;
mod tunnel;

pub use base_url::{BaseUrl, NotABaseUrl};
pub use call_error::{CallError, Why};
pub use client::{Client, NoClient};
pub use preparation::{Awaited, preparation};
pub use token::{Token, TokenError};
pub use tunnel::{Tunnel, TunnelEnded};
