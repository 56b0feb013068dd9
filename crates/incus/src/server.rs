//! The server itself: what it is, what it can, and what its host has left.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::Client;
use crate::error::Result;
use crate::nullable::{count, nullable};

/// `GET /1.0`.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// `trusted` or `untrusted`: an untrusted client also gets an answer here, and 403 elsewhere.
    #[serde(default)]
    pub auth: String,
    /// The versions and abilities of the host.
    #[serde(default, deserialize_with = "nullable")]
    pub environment: Environment,
    /// The server's configuration, such as `core.https_address`.
    #[serde(default, deserialize_with = "nullable")]
    pub config: BTreeMap<String, String>,
    /// Names of the API extensions this version has.
    #[serde(default, deserialize_with = "nullable")]
    pub api_extensions: Vec<String>,
}

impl Server {
    /// Whether Incus will do what this client asks.
    pub fn is_trusted(&self) -> bool {
        self.auth == "trusted"
    }
}

/// What Incus says about itself and its host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// `incus`.
    pub server: String,
    /// Such as `6.0.4`.
    pub server_version: String,
    /// Whether it is a member of a cluster.
    pub server_clustered: bool,
    /// The host's name.
    pub server_name: String,
    /// Process id of incusd.
    #[serde(deserialize_with = "count")]
    pub server_pid: u64,
    /// Such as `Linux`.
    pub kernel: String,
    /// Such as `6.18.5`.
    pub kernel_version: String,
    /// Such as `x86_64`.
    pub kernel_architecture: String,
    /// The host's distribution.
    pub os_name: String,
    /// The host's distribution's version.
    pub os_version: String,
    /// Such as `lxc`.
    pub driver: String,
    /// Such as `5.0.2`.
    pub driver_version: String,
    /// `nftables` or `xtables`.
    pub firewall: String,
    /// Storage drivers in use, such as `btrfs | dir`.
    pub storage: String,
    /// Storage drivers whose tools are installed; whether the kernel plays along is not said.
    #[serde(deserialize_with = "nullable")]
    pub storage_supported_drivers: Vec<StorageDriver>,
}

/// A storage driver this server could use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StorageDriver {
    /// Such as `btrfs`.
    #[serde(alias = "Name")]
    pub name: String,
    /// Version of the driver's tools.
    #[serde(alias = "Version")]
    pub version: String,
    /// Whether its storage is on other machines.
    #[serde(alias = "Remote")]
    pub remote: bool,
}

/// `GET /1.0/resources`: the host's hardware and its use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    #[serde(deserialize_with = "nullable")]
    pub cpu: Cpu,
    /// Memory.
    #[serde(deserialize_with = "nullable")]
    pub memory: Memory,
    /// Load.
    #[serde(deserialize_with = "nullable")]
    pub load: Load,
}

/// The host's processors.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Such as `x86_64`.
    pub architecture: String,
    /// Number of threads.
    #[serde(deserialize_with = "count")]
    pub total: u64,
}

/// The host's memory, in bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// In use, caches not counted.
    #[serde(deserialize_with = "count")]
    pub used: u64,
    /// Installed.
    #[serde(deserialize_with = "count")]
    pub total: u64,
}

/// The host's load averages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Over one minute.
    #[serde(rename = "Average1Min")]
    pub average_1min: f64,
    /// Over five minutes.
    #[serde(rename = "Average5Min")]
    pub average_5min: f64,
    /// Over ten minutes (Incus's own period; its kernel source is fifteen).
    #[serde(rename = "Average10Min")]
    pub average_10min: f64,
    /// Number of processes.
    #[serde(rename = "Processes", deserialize_with = "count")]
    pub processes: u64,
}

impl Client {
    /// What this Incus is. The cheapest call that proves that it answers.
    pub async fn server(&self) -> Result<Server> {
        self.get(&[], &[]).await
    }

    /// What its host has; about 12 ms.
    pub async fn resources(&self) -> Result<Resources> {
        self.get(&["resources"], &[]).await
    }
}
