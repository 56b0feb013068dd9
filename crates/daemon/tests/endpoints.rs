//! What must hold for every endpoint, enumerated from the daemon's own list, so that a new one is
//! held to it without a line here. On an incusd in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod bad_values;
mod documents;
mod every_endpoint;
mod every_field;
mod generated;
mod silent_engine;
