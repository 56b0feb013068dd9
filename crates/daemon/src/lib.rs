//! The HTTP face: an accept loop, the check of tokens, and one route for each endpoint. It
//! decides nothing itself; `containarium daemon` runs it.

mod accept;
mod api;
mod authenticate;
mod beside;
mod change;
mod docs;
mod etag;
mod event_stream;
mod health;
mod openapi;
mod page;
mod prometheus;
mod respond;
mod routes;
mod serve;
mod tunnel;

pub use openapi::openapi;
pub use page::Page;
pub use routes::{router, specs};
pub use serve::{Config, Daemon, ServeError};
pub use tunnel::Tunnels;
