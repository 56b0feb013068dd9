//! How many standbys of a kind are kept, as the operator says it.

use std::str::FromStr;

use containarium_contract::ImageRef;

/// How many standbys of an image are kept, such as `local:debian/12,docker=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyCount {
    /// The image.
    pub image: ImageRef,
    /// Whether Docker works inside.
    pub docker: bool,
    /// How many.
    pub count: u32,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not IMAGE=COUNT or IMAGE,docker=COUNT, such as local:debian/12,docker=2")]
pub struct NotAStandbyCount(String);

impl FromStr for StandbyCount {
    type Err = NotAStandbyCount;

    fn from_str(text: &str) -> Result<Self, NotAStandbyCount> {
        let bad = || NotAStandbyCount(text.to_owned());
        let (what, count) = text.rsplit_once('=').ok_or_else(bad)?;
        let (image, docker) = match what.strip_suffix(",docker") {
            Some(image) => (image, true),
            None => (what, false),
        };
        Ok(Self {
            image: image.parse().map_err(|_| bad())?,
            docker,
            count: count.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let read = |text: &str| text.parse::<StandbyCount>();
        let kind = |docker, count| StandbyCount {
            image: "images:ubuntu/24.04".parse().unwrap(),
            docker,
            count,
        };
        assert_eq!(read("images:ubuntu/24.04=3"), Ok(kind(false, 3)));
        assert_eq!(read("images:ubuntu/24.04,docker=0"), Ok(kind(true, 0)));
        for bad in [
            "",
            "images:ubuntu/24.04",
            "=3",
            "images:ubuntu/24.04=-1",
            "images:ubuntu/24.04,podman=1",
        ] {
            read(bad).unwrap_err();
        }
    }
}
