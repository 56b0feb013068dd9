//! Which image servers there are: a list that the operator makes. A caller names one of them, and
//! never a place: incusd, which is root, would connect wherever it is told.

use std::{collections::BTreeMap, str::FromStr};

use containarium_contract::ImageRef;

/// One line of the list: `NAME=URL`; without a URL the name is taken off the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    name: String,
    url: Option<String>,
}

/// Why a text is not a [`Remote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a remote is written NAME=https://HOST/PATH, or NAME= to have none of that name; `local` is \
     this server's own"
)]
pub struct NotARemote;

impl FromStr for Remote {
    type Err = NotARemote;

    fn from_str(text: &str) -> Result<Self, NotARemote> {
        let (name, url) = text.split_once('=').ok_or(NotARemote)?;
        // The grammar is that of the part before the colon.
        let is_name = format!("{name}:x").parse::<ImageRef>().is_ok();
        let host = url.strip_prefix("https://").unwrap_or_default();
        let is_url = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && host
                .chars()
                .all(|c| c.is_ascii_graphic() && !"@?#\\".contains(c));
        if !is_name || name == Remotes::LOCAL || !(url.is_empty() || is_url) {
            return Err(NotARemote);
        }
        Ok(Self {
            name: name.to_owned(),
            url: Some(url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty()),
        })
    }
}

/// The list. All of them speak simplestreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remotes(BTreeMap<String, String>);

impl Default for Remotes {
    fn default() -> Self {
        let known = [
            ("images", "https://images.linuxcontainers.org"),
            ("ubuntu", "https://cloud-images.ubuntu.com/releases"),
        ];
        Self(
            known
                .map(|(name, url)| (name.to_owned(), url.to_owned()))
                .into(),
        )
    }
}

impl Remotes {
    /// What is in Incus already, built by `init` or put there by an administrator.
    pub const LOCAL: &'static str = "local";

    /// The known ones, with what the operator changes.
    pub fn with(changes: impl IntoIterator<Item = Remote>) -> Self {
        let Self(mut all) = Self::default();
        for Remote { name, url } in changes {
            match url {
                Some(url) => all.insert(name, url),
                None => all.remove(&name),
            };
        }
        Self(all)
    }

    /// The server of an image; `None` for one that is here, or of a remote that there is not.
    pub(crate) fn url(&self, image: &ImageRef) -> Option<&str> {
        self.0.get(image.remote()).map(String::as_str)
    }

    /// Whether images of this name may be asked for at all.
    pub(crate) fn allow(&self, image: &ImageRef) -> bool {
        if image.remote() == Self::LOCAL {
            // Our own names: what we made of an image is no image to make anything of.
            !image.alias().starts_with("containarium/")
        } else {
            self.url(image).is_some()
        }
    }

    /// All names, `local` among them.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().cloned().collect();
        names.push(Self::LOCAL.to_owned());
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageRef {
        text.parse().unwrap()
    }

    #[test]
    fn the_operator_adds_replaces_and_takes_off() {
        let changes = [
            "ours=https://mirror.example:8443/x/",
            "images=https://a.example",
            "ubuntu=",
        ];
        let remotes = Remotes::with(changes.map(|text| text.parse().unwrap()));
        assert_eq!(remotes.names(), ["images", "local", "ours"]);
        assert_eq!(
            remotes.url(&image("images:debian/13")),
            Some("https://a.example")
        );
        assert_eq!(
            remotes.url(&image("ours:x")),
            Some("https://mirror.example:8443/x")
        );
        assert!(!remotes.allow(&image("ubuntu:24.04")));
    }

    #[test]
    fn what_is_not_https_or_not_a_name_is_no_remote() {
        for bad in [
            "",
            "images",
            "=https://a",
            "images=http://a",
            "images=https://",
            "images=ftp://a",
            "images=https://u@a",
            "images=https://a b",
            "images=https://a?x",
            "local=https://a",
            "https=https://a",
            "Images=https://a",
            "a/b=https://a",
            "images=https:///a",
        ] {
            assert_eq!(bad.parse::<Remote>(), Err(NotARemote), "{bad:?}");
        }
    }

    #[test]
    fn our_own_names_are_no_images_to_start_from() {
        let remotes = Remotes::default();
        assert!(remotes.allow(&image("local:debian/12")));
        assert!(!remotes.allow(&image("local:containarium/plain/local/debian/12")));
        assert!(!remotes.allow(&image("elsewhere:debian/12")));
    }
}
