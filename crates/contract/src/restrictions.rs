//! What a token, or one request, is not to do although its roles would allow it. Restrictions only take
//! away: what is allowed at all is the roles' affair.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Username;

/// A username, such as `alice`, or with a `*` at its end all that begin so, such as `agent-*`.
///
/// No username ends with a hyphen, so `agent-` says the same as `agent-*`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[a-z][a-z0-9-]{0,30}\*?$"))]
pub struct UsernamePattern {
    /// What it is, or begins with.
    start: String,
    is_prefix: bool,
}

/// Why a text is not a [`UsernamePattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` names no containers: write a username, such as `alice`, or the beginning of some, such \
     as `agent-*`"
)]
pub struct NotAPattern {
    given: String,
}

/// The longest username.
const LONGEST: usize = 31;

impl UsernamePattern {
    /// Whether the username is one of those.
    pub fn covers(&self, username: &Username) -> bool {
        let name = username.as_str();
        if self.is_prefix {
            name.starts_with(&self.start)
        } else {
            name == self.start
        }
    }

    /// A username that it covers.
    pub fn example(&self) -> String {
        if self.is_prefix {
            format!("{}1", self.start)
        } else {
            self.start.clone()
        }
    }
}

impl FromStr for UsernamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let starred = text.strip_suffix('*');
        let start = starred.unwrap_or(text);
        let is_prefix = starred.is_some() || start.ends_with('-');
        // Of a beginning something must be left to be named.
        let longest = LONGEST - usize::from(is_prefix);
        let good = (1..=longest).contains(&start.len())
            && start.starts_with(|c: char| c.is_ascii_lowercase())
            && start
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            Ok(Self {
                start: start.to_owned(),
                is_prefix,
            })
        } else {
            Err(NotAPattern {
                given: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for UsernamePattern {
    type Error = NotAPattern;
    fn try_from(text: String) -> Result<Self, NotAPattern> {
        text.parse()
    }
}

impl From<UsernamePattern> for String {
    fn from(pattern: UsernamePattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for UsernamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_prefix { "*" } else { "" };
        write!(f, "{}{star}", self.start)
    }
}

/// What is taken away from what the roles allow; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restrictions {
    /// Containers with these names only, as if there were no others
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<UsernamePattern>,
    /// No more containers than so many of them
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Nothing is changed
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// Why a text does not say [`Restrictions`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRestrictions {
    /// Nothing is named, or something else.
    #[error("`{0}` is no restriction: write some of `only=agent-*,bob; max=5; read-only`")]
    Unknown(String),
    /// One is said twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Not a number of containers.
    #[error("`max`: `{0}` is not a number of containers, such as 5")]
    Max(String),
    /// Not the names of containers.
    #[error("`only`: {0}")]
    Only(#[from] NotAPattern),
}

impl Restrictions {
    /// The request header that restricts one request further than its token.
    pub const HEADER: &'static str = "containarium-restrict";

    /// Whether containers of that name may be seen at all.
    pub fn covers(&self, username: &Username) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one.covers(username))
    }

    /// Whether nothing is taken away.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The names in a sentence: `agent-* or bob`; empty where all are covered.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.only.iter().map(ToString::to_string).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => String::new(),
        }
    }

    /// How a sentence goes on that said what the roles allow; empty where nothing is taken away.
    pub fn but(&self) -> String {
        let mut text = String::new();
        if !self.only.is_empty() {
            text += &format!(", only with containers named {}", self.names());
        }
        if let Some(max) = self.max {
            text += &format!(", with at most {max} containers");
        }
        if self.read_only {
            text += ", and changes nothing";
        }
        text
    }
}

impl fmt::Display for Restrictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.only.is_empty() {
            let names: Vec<String> = self.only.iter().map(ToString::to_string).collect();
            parts.push(format!("only={}", names.join(",")));
        }
        if let Some(max) = self.max {
            parts.push(format!("max={max}"));
        }
        if self.read_only {
            parts.push("read-only".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

impl FromStr for Restrictions {
    type Err = NotRestrictions;

    /// Whatever is not understood is an error: who restricts is not to be taken for who does not.
    fn from_str(text: &str) -> Result<Self, NotRestrictions> {
        let mut read = Self::default();
        for part in text.split(';').map(str::trim) {
            match part.split_once('=') {
                Some(("only", _)) if !read.only.is_empty() => {
                    return Err(NotRestrictions::Twice("only"));
                }
                Some(("only", names)) => {
                    let names = names.split(',').map(|name| name.trim().parse());
                    read.only = names.collect::<Result<_, _>>()?;
                }
                Some(("max", _)) if read.max.is_some() => {
                    return Err(NotRestrictions::Twice("max"));
                }
                Some(("max", number)) => {
                    let most = number.parse();
                    read.max = Some(most.map_err(|_| NotRestrictions::Max(number.to_owned()))?);
                }
                None if part == "read-only" && read.read_only => {
                    return Err(NotRestrictions::Twice("read-only"));
                }
                None if part == "read-only" => read.read_only = true,
                Some(_) | None => return Err(NotRestrictions::Unknown(part.to_owned())),
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> UsernamePattern {
        text.parse().unwrap()
    }

    fn covers(text: &str, name: &str) -> bool {
        pattern(text).covers(&name.parse().unwrap())
    }

    #[test]
    fn a_pattern_is_a_name_or_the_beginning_of_some() {
        assert!(covers("alice", "alice") && !covers("alice", "alice2"));
        assert!(covers("agent-*", "agent-1") && !covers("agent-*", "agent"));
        assert!(covers("agent-", "agent-1") && !covers("agent-", "agents"));
        assert!(covers("agent*", "agent") && covers("agent*", "agents"));
        assert_eq!(pattern("agent-"), pattern("agent-*"));
        assert_eq!(pattern("agent-").to_string(), "agent-*");
    }

    #[test]
    fn what_no_username_could_be_is_no_pattern() {
        let long = format!("{}*", "a".repeat(31));
        for bad in [
            "", "*", "-", "**", "a**", "a*b", "*a", "A", "ä*", "a b", "a,b", "a;b", "a.b", "1a",
            "?", "[a-z]", "a\n", &long,
        ] {
            let why = bad.parse::<UsernamePattern>().unwrap_err().to_string();
            assert!(why.contains("such as `agent-*`"), "{bad:?}: {why}");
        }
    }

    #[test]
    fn the_example_is_covered() {
        for text in ["alice", "agent-", "a*", &format!("{}*", "a".repeat(30))] {
            let pattern = pattern(text);
            assert!(
                pattern.covers(&pattern.example().parse().unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_header_says_it_in_any_order() {
        let read: Restrictions = "read-only;max=5; only = agent-, bob"
            .replace(" =", "=")
            .parse()
            .unwrap();
        assert_eq!(read.to_string(), "only=agent-*,bob; max=5; read-only");
        assert_eq!(read.names(), "agent-* or bob");
        assert_eq!(
            read.but(),
            ", only with containers named agent-* or bob, with at most 5 containers, and changes nothing"
        );
    }

    #[test]
    fn what_is_not_understood_is_never_ignored() {
        for bad in [
            "",
            " ",
            ";",
            "max=5;",
            "only",
            "only=",
            "only=a,",
            "only=*",
            "only=a; only=b",
            "max",
            "max=",
            "max=-1",
            "max=x",
            "max=5; max=9",
            "max=99999999999",
            "read-only=true",
            "read-only=false",
            "read_only",
            "readonly",
            "Only=a",
            "read-only; read-only",
            "only=a, max=5",
            "nosuch",
        ] {
            assert!(bad.parse::<Restrictions>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_is_taken_away() {
        let none = Restrictions::default();
        assert_eq!(none.but(), "");
        assert!(none.is_none() && none.covers(&"alice".parse().unwrap()));
        assert_eq!(serde_json::to_string(&none).unwrap(), "{}");
        assert!(serde_json::from_str::<Restrictions>(r#"{"most": 5}"#).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            only in prop::collection::vec("[a-z][a-z0-9-]{0,29}\\*?", 0..4),
            max in prop::option::of(any::<u32>()),
            read_only in any::<bool>(),
        ) {
            let only = only.iter().map(|text| pattern(text)).collect();
            let said = Restrictions { only, max, read_only };
            prop_assume!(!said.is_none());
            prop_assert_eq!(said.to_string().parse(), Ok(said.clone()));
            let json = serde_json::to_string(&said).unwrap();
            prop_assert_eq!(serde_json::from_str::<Restrictions>(&json).unwrap(), said);
        }
    }
}
