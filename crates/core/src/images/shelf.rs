//! What is in Incus: base images and prepared ones, told apart by their aliases in our project.

use containarium_contract::ImageRef;
use containarium_incus::{Client, Error, Image};

use super::{
    Remotes,
    recipe::{FROM, HASH, RECIPE},
};

/// The images of our project, as they were when looked at.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Vec<Image>);

impl Shelf {
    /// One call.
    pub(crate) async fn look(incus: &Client) -> Result<Self, Error> {
        incus.images().await.map(Self)
    }

    fn named(&self, alias: &str) -> Option<&Image> {
        let has = |image: &&Image| image.aliases.iter().any(|known| known.name == alias);
        self.0.iter().find(has)
    }

    /// The image that containers of `image` are made from.
    pub(crate) fn prepared(&self, image: &ImageRef, docker: bool) -> Option<&Image> {
        self.named(&alias(image, docker))
    }

    /// The base image that we fetched or built.
    pub(crate) fn own_base(&self, image: &ImageRef) -> Option<&Image> {
        self.named(&base_alias(image))
    }

    /// The base image; for `local:ALIAS` also one that an administrator put there as ALIAS.
    pub(crate) fn base(&self, image: &ImageRef) -> Option<&Image> {
        let theirs = || {
            Some(image.alias())
                .filter(|_| image.remote() == Remotes::LOCAL)
                .and_then(|alias| self.named(alias))
        };
        self.own_base(image).or_else(theirs)
    }

    /// Whether the recipe of today did not make it.
    pub(crate) fn is_outdated(&self, image: &ImageRef, docker: bool) -> bool {
        self.prepared(image, docker).is_some_and(|prepared| {
            // Docker's was made from the one without, and is as old as that was.
            let apart = docker
                && self.prepared(image, false).is_some_and(|plain| {
                    from(prepared).is_some_and(|from| from != plain.fingerprint)
                });
            apart || prepared.properties.get(RECIPE) != Some(&*HASH)
        })
    }

    /// Everything prepared: the name, whether Docker is in it, and the image.
    pub(crate) fn all_prepared(&self) -> impl Iterator<Item = (ImageRef, bool, &Image)> {
        [false, true].into_iter().flat_map(|docker| {
            self.under(prefix(docker))
                .map(move |(i, at)| (i, docker, at))
        })
    }

    /// Every base image of ours.
    pub(crate) fn bases(&self) -> impl Iterator<Item = (ImageRef, &Image)> {
        self.under(BASE)
    }

    /// The images that containers can be made from at once.
    pub(crate) fn available(&self, docker: bool) -> Vec<ImageRef> {
        let all = self.all_prepared().filter(|(_, has, _)| *has == docker);
        let mut names: Vec<ImageRef> = all.map(|(image, ..)| image).collect();
        names.sort();
        names
    }

    /// Images that a preparation published and did not get to name.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = &Image> {
        let ours = |image: &&Image| image.properties.contains_key(RECIPE);
        self.0
            .iter()
            .filter(|image| image.aliases.is_empty())
            .filter(ours)
    }

    fn under(&self, prefix: &'static str) -> impl Iterator<Item = (ImageRef, &Image)> {
        self.0.iter().flat_map(move |image| {
            image.aliases.iter().filter_map(move |alias| {
                let (remote, alias) = alias.name.strip_prefix(prefix)?.split_once('/')?;
                Some((format!("{remote}:{alias}").parse().ok()?, image))
            })
        })
    }
}

/// The fingerprint of the image that a prepared one was made from.
pub(super) fn from(image: &Image) -> Option<&str> {
    image.properties.get(FROM).map(String::as_str)
}

const BASE: &str = "containarium/base/";

fn prefix(docker: bool) -> &'static str {
    if docker {
        "containarium/docker/"
    } else {
        "containarium/plain/"
    }
}

/// The alias of a base image of ours.
pub(crate) fn base_alias(image: &ImageRef) -> String {
    format!("{BASE}{}/{}", image.remote(), image.alias())
}

/// The alias of a prepared image.
pub(crate) fn alias(image: &ImageRef, docker: bool) -> String {
    format!("{}{}/{}", prefix(docker), image.remote(), image.alias())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::prepared_properties;
    use containarium_incus::ImageAliasName;

    fn image(fingerprint: &str, alias: &str, from: Option<&str>) -> Image {
        Image {
            fingerprint: fingerprint.into(),
            aliases: vec![ImageAliasName {
                name: alias.into(),
                ..ImageAliasName::default()
            }],
            properties: from.map(prepared_properties).unwrap_or_default(),
            ..Image::default()
        }
    }

    #[test]
    fn an_image_of_another_recipe_or_of_a_replaced_one_is_outdated() {
        let name: ImageRef = "images:debian/13".parse().unwrap();
        let shelf = |plain: Image, docker: Image| Shelf(vec![plain, docker]);
        let plain = || image("p2", "containarium/plain/images/debian/13", Some("b"));
        let docker = |from| image("d", "containarium/docker/images/debian/13", from);
        let fresh = shelf(plain(), docker(Some("p2")));
        assert!(!fresh.is_outdated(&name, false) && !fresh.is_outdated(&name, true));
        assert!(shelf(plain(), docker(Some("p1"))).is_outdated(&name, true));
        assert!(shelf(plain(), docker(None)).is_outdated(&name, true));
        assert_eq!(fresh.available(true), [name]);
    }

    #[test]
    fn an_administrators_image_is_a_base_by_its_own_name_and_of_local_only() {
        let shelf = Shelf(vec![image("a", "team/base", None)]);
        let base = |name: &str| {
            shelf
                .base(&name.parse().unwrap())
                .map(|i| i.fingerprint.as_str())
        };
        assert_eq!(base("local:team/base"), Some("a"));
        assert_eq!(base("images:team/base"), None);
    }
}
