//! A container's username: its address everywhere and the login user inside. Never an engine name.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `^[a-z][a-z0-9-]{0,30}$`, no hyphen at the end, and no user or group of the image.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"))]
pub struct Username(String);

/// Why a text is not a [`Username`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAUsername {
    /// Outside the grammar.
    #[error(
        "a username is 1 to 31 of a-z, 0-9 and hyphen, starts with a letter and does not end with \
         a hyphen{}",
        nearest.as_ref().map(|n| format!("; `{n}` would do")).unwrap_or_default()
    )]
    Grammar {
        /// A name close to it that would be taken.
        nearest: Option<Username>,
    },
    /// A user or group that the image already has.
    #[error("`{name}` is a user or group of the system; `{nearest}` would do")]
    Reserved {
        /// The name asked for.
        name: String,
        /// A name close to it that would be taken.
        nearest: Username,
    },
}

/// Users and groups of Debian's and Ubuntu's images (with sshd, systemd and Docker), which
/// `useradd` could not make a second time.
const RESERVED: &[&str] = &[
    "adm",
    "admin",
    "audio",
    "backup",
    "bin",
    "cdrom",
    "clock",
    "containarium",
    "crontab",
    "daemon",
    "debian",
    "dialout",
    "dip",
    "disk",
    "docker",
    "fax",
    "floppy",
    "ftp",
    "games",
    "gnats",
    "halt",
    "incus",
    "incus-admin",
    "input",
    "irc",
    "kmem",
    "kvm",
    "landscape",
    "list",
    "lp",
    "lpadmin",
    "lxd",
    "mail",
    "man",
    "messagebus",
    "mysql",
    "netdev",
    "news",
    "nobody",
    "nogroup",
    "ntp",
    "operator",
    "plugdev",
    "polkitd",
    "postfix",
    "postgres",
    "proxy",
    "render",
    "root",
    "rtkit",
    "sambashare",
    "sasl",
    "sgx",
    "shadow",
    "shutdown",
    "src",
    "ssh",
    "sshd",
    "staff",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "systemd-coredump",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "tape",
    "tty",
    "ubuntu",
    "users",
    "utmp",
    "uucp",
    "uuidd",
    "video",
    "voice",
    "wheel",
    "www-data",
    "xfs",
];

impl Username {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What people see and what the container calls itself: `<username>-container`.
    pub fn container_name(&self) -> String {
        format!("{}-container", self.0)
    }

    /// The closest name that would be taken, where one can be made from `text`.
    pub fn nearest(text: &str) -> Option<Self> {
        let spelled: String = text
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let start = spelled.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        let name: String = start
            .split('-')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("-")
            .chars()
            .take(31)
            .collect();
        let name = name.trim_end_matches('-');
        if is_reserved(name) {
            return Some(Self(format!("{name}-1")));
        }
        in_grammar(name).then(|| Self(name.to_owned()))
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("systemd-")
}

fn in_grammar(name: &str) -> bool {
    (1..=31).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl FromStr for Username {
    type Err = NotAUsername;

    fn from_str(text: &str) -> Result<Self, NotAUsername> {
        if !in_grammar(text) {
            return Err(NotAUsername::Grammar {
                nearest: Self::nearest(text),
            });
        }
        if is_reserved(text) {
            let nearest = Self(format!("{text}-1"));
            return Err(NotAUsername::Reserved {
                name: text.to_owned(),
                nearest,
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Username {
    type Error = NotAUsername;
    fn try_from(text: String) -> Result<Self, NotAUsername> {
        text.parse()
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_would_hurt_are_refused() {
        let long = "a".repeat(32);
        for bad in [
            "",
            "..",
            ".",
            "-rf",
            "a-",
            "A",
            "ab c",
            "a_b",
            "a.b",
            "a/b",
            "a\nb",
            "a\0b",
            "1a",
            "ü",
            "root",
            "docker",
            "systemd-x",
            "$(id)",
            "{{7*7}}",
            &long,
        ] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_hint_is_the_nearest_name() {
        let nearest = |text| Username::nearest(text).map(String::from);
        assert_eq!(nearest("Alice Smith"), Some("alice-smith".into()));
        assert_eq!(nearest("root"), Some("root-1".into()));
        assert_eq!(nearest("1bob_"), Some("bob".into()));
        assert_eq!(nearest(".."), None);
    }

    proptest! {
        #[test]
        fn whatever_is_proposed_is_taken(text in "\\PC{0,60}") {
            if let Some(name) = Username::nearest(&text) {
                prop_assert_eq!(name.as_str().parse::<Username>(), Ok(name.clone()));
            }
        }
    }
}
