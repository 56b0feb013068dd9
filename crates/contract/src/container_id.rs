//! A container's id: tells it from any other that has or had its username. Not an operation's, and not
//! how one is addressed.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ulid::is_ulid;

/// A ULID in lower case; a container that is deleted and made anew has another.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-7][0-9a-hjkmnp-tv-z]{25}$"))]
pub struct ContainerId(String);

/// Why a text is not a [`ContainerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a container's id is 26 digits and small letters, such as 01jd3zq8m4k6t1w9v5r2x7y0bc")]
pub struct NotAContainerId;

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = NotAContainerId;

    fn from_str(text: &str) -> Result<Self, NotAContainerId> {
        if is_ulid(text, char::is_ascii_lowercase) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAContainerId)
        }
    }
}

impl TryFrom<String> for ContainerId {
    type Error = NotAContainerId;
    fn try_from(text: String) -> Result<Self, NotAContainerId> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_ulid_in_lower_case() {
        let id: ContainerId = "01jd3zq8m4k6t1w9v5r2x7y0bc".parse().unwrap();
        assert_eq!(id.to_string(), "01jd3zq8m4k6t1w9v5r2x7y0bc");
        for bad in [
            "",
            "01JD3ZQ8M4K6T1W9V5R2X7Y0BC",
            "81jd3zq8m4k6t1w9v5r2x7y0bc",
            "01jd3zq8m4k6t1w9v5r2x7y0b",
            "../x",
        ] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }
}
