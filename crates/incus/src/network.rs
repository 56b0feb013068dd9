//! Networks: Incus's bridges. They lie in the default project, whatever project the client names,
//! unless that project has `features.networks`; Incus resolves this itself.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Result;
use crate::nullable::nullable;

/// A network as it is; also a link of the host's that Incus does not manage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name, which is the link's name.
    pub name: String,
    /// `bridge`, `physical`, `loopback`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether Incus made it.
    pub managed: bool,
    /// `Created`, …; empty for links that Incus does not manage.
    pub status: String,
    /// For people.
    pub description: String,
    /// `ipv4.address`, `ipv4.nat`, `ipv4.dhcp.ranges`, …
    #[serde(deserialize_with = "nullable")]
    pub config: BTreeMap<String, String>,
    /// URLs of what uses it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
}

/// A network to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkPost {
    /// Its name, at most 15 characters for a bridge.
    pub name: String,
    /// Such as `bridge`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// Such as `ipv4.address` = `10.71.0.1/16`.
    pub config: BTreeMap<String, String>,
}

/// An address that a network has given, or keeps for somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The instance's name, or what the holder calls itself.
    pub hostname: String,
    /// The holder's MAC address; empty for the network's own.
    pub hwaddr: String,
    /// The address.
    pub address: String,
    /// `static`, `dynamic`, `gateway`, …
    #[serde(rename = "type")]
    pub kind: String,
}

impl Client {
    /// One network.
    pub async fn network(&self, name: &str) -> Result<Network> {
        self.get(&["networks", name], &[]).await
    }

    /// All networks, and the host's links.
    pub async fn networks(&self) -> Result<Vec<Network>> {
        self.get(&["networks"], &[("recursion", "1")]).await
    }

    /// The addresses of a network that are held, as far as they are of this client's project or of
    /// the network itself.
    pub async fn network_leases(&self, name: &str) -> Result<Vec<Lease>> {
        self.get(&["networks", name, "leases"], &[]).await
    }

    /// Makes a network.
    pub async fn create_network(&self, post: &NetworkPost) -> Result<()> {
        self.change(Method::POST, &["networks"], post).await
    }

    /// Removes a network that nothing uses.
    pub async fn delete_network(&self, name: &str) -> Result<()> {
        self.delete(&["networks", name], &[]).await
    }
}
