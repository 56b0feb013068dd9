//! Wall-clock times as they are stored and shown. What must not jump with them is measured
//! otherwise.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in Unix seconds.
pub(crate) fn now() -> u64 {
    now_ms() / 1000
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Unix milliseconds as RFC 3339.
pub(crate) fn rfc3339(ms: u64) -> String {
    // What no calendar can hold is no time that we wrote.
    let longest = 253_402_300_799_000;
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(longest));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Unix seconds as RFC 3339.
pub(crate) fn rfc3339_of(seconds: u64) -> String {
    let text = rfc3339(seconds.saturating_mul(1000));
    text.replace(".000Z", "Z")
}
