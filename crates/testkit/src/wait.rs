//! Waiting for something to become so. Never a sleep and a hope.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` finds it, `within` at the most; then panics with what was seen last.
pub async fn wait_for<T, S: Debug>(
    within: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let end = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                Instant::now() < end,
                "not so within {within:?}: {what}; seen last: {seen:?}"
            ),
        }
        sleep(PAUSE).await;
    }
}
