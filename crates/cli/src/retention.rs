//! How long a deleted container is kept, as it is written on a command line.

use std::time::Duration;

/// Longer than anybody means.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Reads `24h`, `90m`, `30d`, or `0`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let long = match text.trim() {
        "0" => Duration::ZERO,
        text => {
            humantime::parse_duration(text).map_err(|e| format!("{e}; such as 24h, 30d or 0"))?
        }
    };
    if long > LONGEST {
        return Err("nothing is kept for longer than ten years".into());
    }
    Ok(long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};

    #[test]
    fn the_default_is_the_cores() {
        let Command::Daemon(daemon) = parsed("daemon") else {
            panic!()
        };
        assert_eq!(daemon.retention, containarium_core::RETENTION);
    }

    #[test]
    fn hours_minutes_days_and_nothing_are_taken() {
        for (text, seconds) in [
            ("24h", 86_400),
            ("1h30m", 5_400),
            ("30d", 2_592_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "24", "-1h", "soon", "11y", "99999999999999999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
