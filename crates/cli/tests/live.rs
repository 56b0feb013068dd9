//! A daemon and an incusd that are killed, for real: the process, and the private Incus that
//! `scripts/with-engine` gives. On an incusd in memory the same is in `../chaos`.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use containarium_testkit::chaos::{Life, Under};

mod hang;
mod points;
mod random;
mod room;

/// With kill points, because it was built beside tests.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_containarium"))
}

/// A daemon that runs on an empty bed; `None` where there is no engine to test on.
async fn start() -> Option<(Under, Life)> {
    let under = Under::live().await?;
    let mut life = Life::new(program(), &under);
    life.start(None).await.unwrap();
    Some((under, life))
}
