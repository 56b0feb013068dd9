//! Labels: a caller's own words about a container.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// 1 to 63 of a-z, 0-9 and `. _ / -`, with a letter or digit at both ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$"))]
pub struct LabelKey(String);

/// Up to 255 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 255))]
pub struct LabelValue(String);

/// `key=value`, or `key` alone for any value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct LabelFilter {
    /// The label that must be there.
    pub key: LabelKey,
    /// The value it must have.
    pub value: Option<LabelValue>,
}

/// Why a text is not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALabel {
    /// The key is outside its grammar.
    #[error("a label's key is 1 to 63 of a-z, 0-9 and . _ / - with a letter or digit at both ends")]
    Key,
    /// The value is outside its grammar.
    #[error("a label's value is at most 255 characters and holds no control characters")]
    Value,
}

impl FromStr for LabelKey {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = (1..=63).contains(&text.len())
            && text.starts_with(is_word)
            && text.ends_with(is_word)
            && text.chars().all(|c| is_word(c) || "._/-".contains(c));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALabel::Key)
        }
    }
}

impl FromStr for LabelValue {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let good = text.chars().count() <= 255 && !text.chars().any(char::is_control);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALabel::Value)
        }
    }
}

impl FromStr for LabelFilter {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        Ok(match text.split_once('=') {
            Some((key, value)) => Self {
                key: key.parse()?,
                value: Some(value.parse()?),
            },
            None => Self {
                key: text.parse()?,
                value: None,
            },
        })
    }
}

impl TryFrom<String> for LabelKey {
    type Error = NotALabel;
    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl TryFrom<String> for LabelValue {
    type Error = NotALabel;
    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl TryFrom<String> for LabelFilter {
    type Error = NotALabel;
    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl From<LabelKey> for String {
    fn from(key: LabelKey) -> Self {
        key.0
    }
}

impl From<LabelValue> for String {
    fn from(value: LabelValue) -> Self {
        value.0
    }
}

impl From<LabelFilter> for String {
    fn from(filter: LabelFilter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => write!(f, "{}", self.key),
        }
    }
}
