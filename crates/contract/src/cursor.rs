//! Where a page of containers ends, and so where the next one starts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Username};

/// `alice`, or `alice.01jd3zq8m4k6t1w9v5r2x7y0bc` where several of a name are listed, as deleted ones
/// are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend(
    "pattern" = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?(\.[0-7][0-9a-hjkmnp-tv-z]{25})?$"
))]
pub struct Cursor {
    /// The last name on the page.
    pub username: Username,
    /// Which one of that name was last.
    pub id: Option<ContainerId>,
}

/// Why a text is not a [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is what an earlier answer gave as nextCursor")]
pub struct NotACursor;

impl From<Username> for Cursor {
    fn from(username: Username) -> Self {
        Self { username, id: None }
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        // Neither a name nor an id has a dot.
        let (username, id) = match text.split_once('.') {
            Some((username, id)) => (username, Some(id.parse().map_err(|_| NotACursor)?)),
            None => (text, None),
        };
        let username = username.parse().map_err(|_| NotACursor)?;
        Ok(Self { username, id })
    }
}

impl TryFrom<String> for Cursor {
    type Error = NotACursor;
    fn try_from(text: String) -> Result<Self, NotACursor> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}.{id}", self.username),
            None => self.username.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_itself() {
        for text in ["alice", "alice.01jd3zq8m4k6t1w9v5r2x7y0bc"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "Alice",
            "alice.",
            "alice.x",
            ".01jd3zq8m4k6t1w9v5r2x7y0bc",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(NotACursor), "{bad}");
        }
    }
}
