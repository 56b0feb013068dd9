//! The host, as far as its users need to know it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Endpoint, ImageRef, Method};

/// Whether the engine answered while a read was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineHealth {
    /// It answered: what is shown is so.
    Ok,
    /// It did not: what was last known is shown.
    Unreachable,
}

/// What stands behind everything that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostEngine {
    /// Incus, and it answers.
    Ok,
    /// Incus, and it does not answer: what it says of the host is what it last said.
    Unreachable,
    /// A simulation: nothing real is created.
    Sim,
}

impl HostEngine {
    /// The header that every answer of a daemon with a simulated engine has.
    pub const HEADER: &'static str = "containarium-engine";
    /// Its value.
    pub const SIM: &'static str = "sim";
    /// What people and models are told before anything else.
    pub const SIMULATED: &'static str = "SIMULATED: nothing real is created.";
}

/// The host and what runs on it. What cannot be told is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfo {
    /// The version of Incus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incus_version: Option<String>,
    /// Whether the engine answers, or is a simulation.
    pub engine: HostEngine,
    /// The image of a create that names none.
    pub default_image: ImageRef,
    /// The host's distribution and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The host's kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<String>,
    /// The host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Containers that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers_running: Option<u64>,
    /// Containers that are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers_stopped: Option<u64>,
    /// All containers of this installation.
    pub containers_total: u64,
    /// The host's CPU threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cpus: Option<u64>,
    /// The host's memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_memory_bytes: Option<u64>,
    /// Memory that could be given out now, bytes (`MemAvailable`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_memory_bytes: Option<u64>,
    /// Size of the containers' storage, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_disk_bytes: Option<u64>,
    /// What is free of it, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_disk_bytes: Option<u64>,
    /// How long the host has been up, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// The containers that are booted beforehand, of each image of which some are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<StandbyInfo>,
}

/// Containers of one image that are booted beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandbyInfo {
    /// The image.
    pub image: ImageRef,
    /// Whether Docker works inside.
    pub docker: bool,
    /// How many are kept.
    pub wanted: u32,
    /// How many could be taken now.
    pub ready: u32,
}

/// Get the host's resources and how many containers there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetSystemInfo {}

/// The answer to [`GetSystemInfo`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfoAnswer {
    /// The host.
    pub info: SystemInfo,
}

impl Endpoint for GetSystemInfo {
    const ID: &'static str = "get_system_info";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/system/info";
    const EFFECT: Effect = Effect::Read;
    type Answer = SystemInfoAnswer;
}
