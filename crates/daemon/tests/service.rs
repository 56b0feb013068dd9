//! What the daemon does, as its callers see it, on an incusd in memory. What needs a guest is in the
//! live suite: `crates/testkit/tests/live`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod cancelled;
mod events;
mod keys;
mod metrics;
mod operations;
mod power;
mod reads;
mod reference;
mod refusals;
mod restart;
mod restrictions;
mod simulated;
mod timings;
