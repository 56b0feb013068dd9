//! What the official conformance suite calls by exact name, on the HTTP endpoint of the daemon:
//! scripts/test-mcp. Nothing here is of use to anybody else.
//!
//! What each fixture answers is the suite's to say; the Rust SDK's own fixture server (Apache-2.0)
//! was the guide where the suite's words were not enough.

#![expect(
    clippy::indexing_slicing,
    reason = "of a Value, where what is not there is null"
)]

mod ask;
mod elicit;
mod handler;
mod prompts;
mod resources;
mod serve;
mod tasks;
mod tools;

/// A picture of one red pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// Silence.
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let handler = handler::Fixture::default();
    serve::serve(move || handler.clone()).await
}
