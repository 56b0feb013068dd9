//! How long a daemon waits for something that no event announces. Users get the defaults; a test that waits for the end of
//! one of these shortens it.

use std::time::Duration;

/// Time limits of one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the start of a container to its SSH banner.
    pub boot: Duration,
    /// A container that ends within this time of its start counts as failed to start.
    pub trial: Duration,
    /// A tunnel without traffic whose container answers no keepalive is closed after twice this time.
    pub vanished: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(60),
            trial: Duration::from_secs(10),
            vanished: Duration::from_secs(15),
        }
    }
}
