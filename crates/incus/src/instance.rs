//! Instances: list, read, make, change, delete. Running and stopping them is in `state.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Etagged, READ, READ_ALL};
use crate::envelope::Verdict;
use crate::error::{Error, Result};
use crate::nullable::nullable;
use crate::operation::Operation;
use crate::state::InstanceState;
use crate::status::StatusCode;
use crate::transport::send_for_each;

/// Devices by name; each is a map that holds at least `type`.
pub type Devices = BTreeMap<String, BTreeMap<String, String>>;

/// An instance as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its name, unique in its project.
    pub name: String,
    /// The project it lies in.
    pub project: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people; use [`Instance::status_code`].
    pub status: String,
    /// Where it stands, live.
    pub status_code: StatusCode,
    /// For people.
    pub description: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Whether it is deleted when it stops.
    pub ephemeral: bool,
    /// Names of its profiles.
    #[serde(deserialize_with = "nullable")]
    pub profiles: Vec<String>,
    /// Its own configuration, `volatile.*` and `user.*` included; its profiles' is not.
    #[serde(deserialize_with = "nullable")]
    pub config: BTreeMap<String, String>,
    /// Its own devices; its profiles' are not among them.
    #[serde(deserialize_with = "nullable")]
    pub devices: Devices,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it was last started, RFC 3339; the year 1970 or earlier if never.
    pub last_used_at: String,
    /// Its use of resources; only from [`Client::instances_full`].
    pub state: Option<InstanceState>,
}

/// An instance to be made.
#[derive(Debug, Clone, Serialize)]
pub struct InstancePost {
    /// Its name: 1–63 of `a-z`, `0-9`, `-`. An empty one makes Incus invent one.
    pub name: String,
    /// `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether to start it too. If only the start fails, the instance stays, stopped.
    pub start: bool,
    /// Always sent: none means none, where a missing list would mean the default profile.
    pub profiles: Vec<String>,
    /// From what.
    pub source: Source,
    /// Such as `limits.memory`.
    pub config: BTreeMap<String, String>,
    /// Such as `root` and `eth0`.
    pub devices: Devices,
    /// For people.
    pub description: String,
}

impl InstancePost {
    /// A stopped container without profiles, configuration and devices.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            kind: "container".to_owned(),
            start: false,
            profiles: Vec::new(),
            source,
            config: BTreeMap::new(),
            devices: Devices::new(),
            description: String::new(),
        }
    }
}

/// What an instance is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Source {
    /// An image here.
    Image(ImageRef),
    /// Another instance, or a snapshot of one. Configuration and devices are merged by key; MAC
    /// address and uid range are new; a pinned address is copied unless its device is given whole.
    Copy {
        /// `INSTANCE` or `INSTANCE/SNAPSHOT`.
        source: String,
        /// Whether to leave its snapshots behind.
        instance_only: bool,
    },
    /// Nothing: an empty root filesystem.
    None,
}

impl Source {
    /// The image with this alias.
    pub fn alias(alias: impl Into<String>) -> Self {
        Self::Image(ImageRef::Alias(alias.into()))
    }

    /// The image with this fingerprint, or a prefix of it.
    pub fn fingerprint(fingerprint: impl Into<String>) -> Self {
        Self::Image(ImageRef::Fingerprint(fingerprint.into()))
    }

    /// A copy of this instance or snapshot, without snapshots.
    pub fn copy(source: impl Into<String>) -> Self {
        Self::Copy {
            source: source.into(),
            instance_only: true,
        }
    }
}

/// How an image is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageRef {
    /// By alias.
    Alias(String),
    /// By fingerprint, or a prefix of it.
    Fingerprint(String),
}

/// A change to an instance's configuration; what is not named stays.
#[derive(Debug, Clone, Default, Serialize)]
pub struct InstancePatch {
    /// Merged by key; an empty value unsets the key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Merged by device: each is given whole. A device cannot be removed this way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: Devices,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Refuse with [`Error::Precondition`](crate::Error::Precondition) unless this is still the tag.
    #[serde(skip)]
    pub if_match: Option<String>,
}

/// What is read of an instance in a long listing: a third of what there is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed {
    name: String,
    status: String,
    status_code: StatusCode,
    #[serde(deserialize_with = "nullable")]
    config: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    devices: Devices,
    created_at: String,
}

impl From<Listed> for Instance {
    fn from(listed: Listed) -> Self {
        Self {
            name: listed.name,
            status: listed.status,
            status_code: listed.status_code,
            config: listed.config,
            devices: listed.devices,
            created_at: listed.created_at,
            ..Self::default()
        }
    }
}

impl Client {
    /// All instances of the project, without their state; about 0.2 ms each.
    pub async fn instances(&self) -> Result<Vec<Instance>> {
        self.list("1", READ).await
    }

    /// All instances of the project, however many: each is given to `take` as it arrives, with its
    /// name, status, configuration and devices, and what it makes of them is kept.
    pub async fn each_instance<T: Send>(
        &self,
        mut take: impl FnMut(Instance) -> Option<T> + Send,
    ) -> Result<Vec<T>> {
        let query = [("recursion", "1")];
        let call = self.call(Method::GET, &["instances"], &query, READ_ALL)?;
        let mut all = Vec::new();
        let mut each = |element: &[u8]| {
            let listed: Listed = serde_json::from_slice(element).map_err(|error| {
                Error::Protocol(format!("an instance of another shape: {error}"))
            })?;
            all.extend(take(listed.into()));
            Ok(())
        };
        let reply = send_for_each(self.engine(), call, &mut each).await?;
        let _as_many: Option<Vec<u8>> = Verdict::of(&reply)?.done()?;
        Ok(all)
    }

    /// All instances of the project with their state; about 4.5 ms each.
    pub async fn instances_full(&self) -> Result<Vec<Instance>> {
        self.list("2", READ_ALL).await
    }

    async fn list(&self, recursion: &str, within: Duration) -> Result<Vec<Instance>> {
        let query = [("recursion", recursion)];
        let call = self.call(Method::GET, &["instances"], &query, within)?;
        self.verdict(call).await?.done()
    }

    /// One instance, with the tag of its configuration. Its status does not change the tag.
    pub async fn instance(&self, name: &str) -> Result<Etagged<Instance>> {
        self.get_etagged(&["instances", name]).await
    }

    /// Makes an instance. Nearly everything that can be wrong with the request is told by
    /// [`Client::wait`], not here.
    pub async fn create_instance(&self, post: &InstancePost) -> Result<Operation> {
        self.begin(Method::POST, &["instances"], post).await
    }

    /// Changes an instance, done when it answers; [`Error::Busy`](crate::Error::Busy) while it is
    /// being started or stopped.
    pub async fn patch_instance(&self, name: &str, patch: &InstancePatch) -> Result<()> {
        let mut call = self.call_json(Method::PATCH, &["instances", name], patch)?;
        if let Some(etag) = &patch.if_match {
            call.headers.push(("if-match", etag.clone()));
        }
        self.verdict(call)
            .await?
            .done::<serde_json::Value>()
            .map(drop)
    }

    /// Deletes an instance that does not run. Wait for all its other operations first: deleting
    /// during a snapshot wedges the instance for good.
    pub async fn delete_instance(&self, name: &str) -> Result<Operation> {
        self.begin_delete(&["instances", name]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_says_what_incus_reads() {
        let wire = |source| serde_json::to_value(InstancePost::new("a", source)).unwrap();
        let image = wire(Source::alias("base"));
        assert_eq!(image["profiles"], serde_json::json!([]));
        assert_eq!(image["type"], "container");
        assert_eq!(
            image["source"],
            serde_json::json!({"type": "image", "alias": "base"})
        );
        assert_eq!(
            wire(Source::fingerprint("6173ce"))["source"],
            serde_json::json!({"type": "image", "fingerprint": "6173ce"})
        );
        assert_eq!(
            wire(Source::copy("b/s"))["source"],
            serde_json::json!({"type": "copy", "source": "b/s", "instance_only": true})
        );
        assert_eq!(
            wire(Source::None)["source"],
            serde_json::json!({"type": "none"})
        );
    }

    #[test]
    fn null_lists_are_empty_ones() {
        let text = r#"{"name":"a","status_code":113,"profiles":null,"config":null,"state":null}"#;
        let instance: Instance = serde_json::from_str(text).unwrap();
        assert!(instance.status_code.is_running());
        assert!(instance.profiles.is_empty() && instance.state.is_none());
    }
}
