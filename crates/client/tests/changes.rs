//! Changes: asked for once more where an answer was lost, and followed to their end.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod again;
mod operations;
mod script;
