//! Images and their aliases: list, name, publish, delete. Sending one in is in `image_import.rs`.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::nullable::{count, nullable};
use crate::operation::Operation;

/// An image as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Image {
    /// SHA-256 of its files, in hex; its identity.
    pub fingerprint: String,
    /// Its names.
    #[serde(deserialize_with = "nullable")]
    pub aliases: Vec<ImageAliasName>,
    /// `os`, `release`, `description`, and what its maker added.
    #[serde(deserialize_with = "nullable")]
    pub properties: BTreeMap<String, String>,
    /// Size of its files, packed, in bytes.
    #[serde(deserialize_with = "count")]
    pub size: u64,
    /// Such as `x86_64`.
    pub architecture: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it came here, RFC 3339.
    pub uploaded_at: String,
    /// When an instance was last made from it, RFC 3339.
    pub last_used_at: String,
    /// Whether Incus fetched it on its own and may drop it.
    pub cached: bool,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A name of an image, seen from the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAliasName {
    /// The alias.
    pub name: String,
    /// For people.
    pub description: String,
}

/// A name of an image, seen from the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ImageAlias {
    /// The alias.
    pub name: String,
    /// Fingerprint of the image it means.
    pub target: String,
}

/// An image to be made from what an instance or snapshot holds.
#[derive(Debug, Clone, Serialize)]
pub struct ImagePublish {
    /// From what.
    pub source: PublishSource,
    /// `none`, `zstd`, `gzip`, …; gzip is the slowest. `None` takes the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_algorithm: Option<String>,
    /// Its names. One that is taken fails the operation after the whole export: see
    /// [`Client::put_image_alias`].
    #[serde(serialize_with = "alias_objects")]
    pub aliases: Vec<String>,
    /// Such as `os`, `description`.
    pub properties: BTreeMap<String, String>,
}

/// What an image is made from.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum PublishSource {
    /// An instance that does not run.
    Instance {
        /// Its name.
        name: String,
    },
    /// A snapshot, of a running instance too.
    Snapshot {
        /// `INSTANCE/SNAPSHOT`.
        name: String,
    },
}

/// An image of containers that Incus is to fetch itself, from a server that speaks simplestreams.
/// One that is here already is not fetched again, so this also tells what the server has now; but
/// Incus believes a server's index for an hour.
#[derive(Debug, Clone, Default)]
pub struct ImagePull {
    /// The server's URL, `https`.
    pub server: String,
    /// What the server calls it.
    pub alias: String,
}

fn alias_objects<S: serde::Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.iter().map(|name| json!({ "name": name })))
}

impl Client {
    /// All images, with their aliases and properties.
    pub async fn images(&self) -> Result<Vec<Image>> {
        self.get(&["images"], &[("recursion", "1")]).await
    }

    /// What an alias means.
    pub async fn image_alias(&self, name: &str) -> Result<ImageAlias> {
        self.get(&["images", "aliases", name], &[]).await
    }

    /// Makes the alias, or moves it to `target` (a fingerprint) if it exists.
    pub async fn put_image_alias(&self, name: &str, target: &str) -> Result<()> {
        let alias = ["images", "aliases", name];
        let moved = self
            .change(Method::PUT, &alias, &json!({ "target": target }))
            .await;
        match moved {
            // Also when the *image* is missing; then the POST says so.
            Err(Error::NotFound(_)) => {}
            Ok(()) | Err(_) => return moved,
        }
        let post = json!({ "name": name, "target": target });
        match self
            .change(Method::POST, &["images", "aliases"], &post)
            .await
        {
            // Somebody else made it between the two calls.
            Err(Error::AlreadyExists(_) | Error::Conflict(_)) => {
                self.change(Method::PUT, &alias, &json!({ "target": target }))
                    .await
            }
            made => made,
        }
    }

    /// Has Incus fetch an image. The operation's metadata will hold its `fingerprint`, which is the
    /// server's own, and tells how far the download is ([`Operation::download_percent`]).
    pub async fn pull_image(&self, pull: &ImagePull) -> Result<Operation> {
        let ImagePull { server, alias } = pull;
        let source = json!({
            "type": "image", "mode": "pull", "protocol": "simplestreams", "image_type": "container",
            "server": server, "alias": alias,
        });
        let post = json!({ "source": source, "public": false, "auto_update": false });
        self.begin(Method::POST, &["images"], &post).await
    }

    /// Removes a name; the image stays.
    pub async fn delete_image_alias(&self, name: &str) -> Result<()> {
        self.delete(&["images", "aliases", name], &[]).await
    }

    /// Removes an image and its aliases.
    pub async fn delete_image(&self, fingerprint: &str) -> Result<Operation> {
        self.begin_delete(&["images", fingerprint]).await
    }

    /// Makes an image. The operation's metadata will hold its `fingerprint`; it takes seconds to
    /// minutes ([`Operation::fingerprint`]).
    pub async fn publish_image(&self, publish: &ImagePublish) -> Result<Operation> {
        self.begin(Method::POST, &["images"], publish).await
    }
}
