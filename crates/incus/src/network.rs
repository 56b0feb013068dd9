//! Networks: Incus's bridges. They lie in the default project, whatever project the client names,
//! unless that project has `features.networks`; Incus resolves this itself.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::nullable::nullable;

/// How often a network is asked to be made or removed, while interfaces of others come and go.
const TRIES: u32 = 5;

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
        let mut tries = Tries::default();
        loop {
            let said = self.change(Method::POST, &["networks"], post).await;
            if !tries.another(&said) {
                return said;
            }
        }
    }

    /// Removes a network that nothing uses.
    pub async fn delete_network(&self, name: &str) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            let said = self.delete(&["networks", name], &[]).await;
            if !tries.another(&said) {
                return said;
            }
        }
    }
}

/// Tries of one change of a bridge. Whenever Incus makes or removes one, it looks twice at each virtual interface of the host, and
/// fails where one has gone between, such as that of a container which stops.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Says whether to ask again: Incus gave up because of somebody else's interface, and not too often yet.
    fn another(&mut self, said: &Result<()>) -> bool {
        self.0 += 1;
        matches!(said, Err(Error::Refused { text, .. }) if self.0 < TRIES && has_gone(text))
    }
}

fn has_gone(text: &str) -> bool {
    text.contains("ip -d -j link show") && text.contains("does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_goes_meanwhile_is_asked_about_again_and_nothing_else_is() {
        let refused = |text: &str| {
            Err(Error::Refused {
                code: 500,
                text: text.to_owned(),
            })
        };
        let gone = "Failed to delete bridge children interfaces: Failed to run: ip -d -j link show veth1b1f6193: \
                    exit status 1 (Device \"veth1b1f6193\" does not exist.)";
        let mut tries = Tries::default();
        for _ in 1..TRIES {
            assert!(tries.another(&refused(gone)));
        }
        assert!(!tries.another(&refused(gone)), "it ends");
        assert!(!Tries::default().another(&refused("Network is in use")));
        assert!(!Tries::default().another(&Ok(())));
    }
}
