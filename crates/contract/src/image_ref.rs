//! What a caller may name as an image: a remote and an alias, never a URL.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `REMOTE:ALIAS`, such as `images:ubuntu/24.04`, `ubuntu:24.04`, `local:debian/12`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    extend("pattern" = r"^[a-z][a-z0-9-]{0,30}:[a-z0-9]([a-z0-9._/-]{0,94}[a-z0-9])?$")
)]
pub struct ImageRef(String);

/// Why a text is not an [`ImageRef`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an image is written REMOTE:ALIAS, such as images:ubuntu/24.04 or local:debian/12")]
pub struct NotAnImage;

impl ImageRef {
    /// The part before the colon.
    pub fn remote(&self) -> &str {
        self.0.split_once(':').map_or("", |(remote, _)| remote)
    }

    /// The part after the colon.
    pub fn alias(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, alias)| alias)
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageRef {
    type Err = NotAnImage;

    fn from_str(text: &str) -> Result<Self, NotAnImage> {
        let (remote, alias) = text.split_once(':').ok_or(NotAnImage)?;
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good_remote = (1..=31).contains(&remote.len())
            && remote.starts_with(|c: char| c.is_ascii_lowercase())
            && remote.chars().all(|c| is_word(c) || c == '-')
            && !["http", "https", "file"].contains(&remote);
        let good_alias = (1..=96).contains(&alias.len())
            && alias.starts_with(is_word)
            && alias.ends_with(is_word)
            && alias.chars().all(|c| is_word(c) || "._/-".contains(c))
            && alias
                .split('/')
                .all(|part| !part.is_empty() && !part.starts_with('.'));
        if good_remote && good_alias {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnImage)
        }
    }
}

impl TryFrom<String> for ImageRef {
    type Error = NotAnImage;
    fn try_from(text: String) -> Result<Self, NotAnImage> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_name_and_never_a_place() {
        for good in [
            "images:ubuntu/24.04",
            "ubuntu:24.04",
            "local:debian/12",
            "local:x",
        ] {
            assert_eq!(good.parse::<ImageRef>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ubuntu",
            "https://x/y",
            "http:x",
            "file:///etc",
            "images:",
            ":a",
            "images:../x",
            "images:a//b",
            "images:a b",
            "IMAGES:a",
            "images:a\n",
            "local:a/.b",
            "images:a:b",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?}");
        }
    }
}
