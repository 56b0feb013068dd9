//! A daemon that is killed, on an incusd in memory that is killed too: `containarium daemon` as a process
//! of its own, ended at each of its kill points and at random moments. What must be so on a real Incus is
//! in `../live`, by the same harness.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

mod ambiguous;
mod points;
mod random;

/// With kill points, because it was built beside tests.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_containarium"))
}
