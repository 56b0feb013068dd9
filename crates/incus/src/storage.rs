//! Storage pools: where volumes lie, and how much room is left. Pools belong to no project.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Result;
use crate::nullable::{count, nullable};

/// A storage pool as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoragePool {
    /// Its name.
    pub name: String,
    /// `btrfs`, `dir`, `zfs`, `lvm`, …
    pub driver: String,
    /// `Created`, `Unknown`, …
    pub status: String,
    /// For people.
    pub description: String,
    /// `source`, `size`, …
    #[serde(deserialize_with = "nullable")]
    pub config: BTreeMap<String, String>,
    /// URLs of what uses it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
}

/// A storage pool to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoragePoolPost {
    /// Its name.
    pub name: String,
    /// Such as `btrfs`.
    pub driver: String,
    /// For people.
    pub description: String,
    /// Without `source`, Incus makes a sparse file of `size`.
    pub config: BTreeMap<String, String>,
}

/// The room in a pool, in bytes. Volumes are thin: what is promised may exceed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PoolSpace {
    /// Written.
    #[serde(deserialize_with = "count")]
    pub used: u64,
    /// In all.
    #[serde(deserialize_with = "count")]
    pub total: u64,
}

/// A volume in a pool. Each instance has one, each of its snapshots, each image that was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StorageVolume {
    /// Its name; of a snapshot `INSTANCE/SNAPSHOT`, of an image its fingerprint.
    pub name: String,
    /// `container`, `virtual-machine`, `image`, `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project it lies in; of an image the default one.
    pub project: String,
    /// URLs of what uses it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
}

#[derive(Deserialize)]
struct PoolResources {
    #[serde(default, deserialize_with = "nullable")]
    space: PoolSpace,
}

impl Client {
    /// One pool.
    pub async fn storage_pool(&self, name: &str) -> Result<StoragePool> {
        self.get(&["storage-pools", name], &[]).await
    }

    /// All pools.
    pub async fn storage_pools(&self) -> Result<Vec<StoragePool>> {
        self.get(&["storage-pools"], &[("recursion", "1")]).await
    }

    /// Makes a pool.
    pub async fn create_storage_pool(&self, post: &StoragePoolPost) -> Result<()> {
        self.change(Method::POST, &["storage-pools"], post).await
    }

    /// Removes a pool that nothing uses.
    pub async fn delete_storage_pool(&self, name: &str) -> Result<()> {
        self.delete(&["storage-pools", name], &[]).await
    }

    /// The volumes of a pool that are of this client's project, or of none in particular: images.
    pub async fn storage_volumes(&self, pool: &str) -> Result<Vec<StorageVolume>> {
        let segments = ["storage-pools", pool, "volumes"];
        self.get(&segments, &[("recursion", "1")]).await
    }

    /// The room in a pool.
    pub async fn storage_pool_resources(&self, name: &str) -> Result<PoolSpace> {
        let resources: PoolResources = self.get(&["storage-pools", name, "resources"], &[]).await?;
        Ok(resources.space)
    }
}
