//! One TCP connection inside one WebSocket, the same code at both ends: the daemon carries between
//! the socket and a container, the client between the socket and whoever uses it.
//!
//! Not how the WebSocket is asked for and who may have one: that is the daemon's and the client's.

mod end;
mod handshake;
mod tunnel;

pub use end::{End, Goodbye};
pub use handshake::{accept_of, new_key};
pub use tunnel::Tunnel;
