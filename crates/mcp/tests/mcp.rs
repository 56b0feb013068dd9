//! The tools as clients meet them: over both eras of the protocol, against a daemon that is made up.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod bad_arguments;
mod completions;
mod daemon;
mod endpoint;
mod failures;
mod hints;
mod lifecycle;
mod listing;
mod modes;
mod person;
mod program;
mod prompts;
mod requests;
mod resources;
mod session;
mod simulated;
mod troubleshooting;
mod word;
