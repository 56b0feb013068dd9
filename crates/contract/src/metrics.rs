//! What containers use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Endpoint, EngineHealth, Method, Username};

/// What one container uses, sampled at the call, or before it where the engine does not answer now.
/// What the engine cannot tell is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// `<username>-container`.
    pub name: String,
    /// CPU time since the container started, whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage_seconds: Option<u64>,
    /// Memory in use, bytes (cgroup).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_usage_bytes: Option<u64>,
    /// The most memory ever in use since the start, bytes (cgroup).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Disk that this container alone uses, bytes. Its quota also counts the image it was made
    /// from, which all containers share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_usage_bytes: Option<u64>,
    /// Bytes received since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_rx_bytes: Option<u64>,
    /// Bytes sent since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_tx_bytes: Option<u64>,
    /// Processes inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u64>,
    /// When it was sampled, RFC 3339.
    pub sampled_at: String,
}

/// Get what every container uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListMetrics {}

/// Get what one container uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetMetrics {
    /// Whose container
    pub username: Username,
}

/// Metrics of the containers asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsAnswer {
    /// One entry a container; where the engine does not answer, none of a container that was never
    /// sampled.
    pub metrics: Vec<Metrics>,
    /// Whether the engine answered.
    pub engine: EngineHealth,
}

impl Endpoint for ListMetrics {
    const ID: &'static str = "list_metrics";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/metrics";
    const EFFECT: Effect = Effect::Read;
    type Answer = MetricsAnswer;
}

impl Endpoint for GetMetrics {
    const ID: &'static str = "get_metrics";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/metrics/{username}";
    const EFFECT: Effect = Effect::Read;
    type Answer = MetricsAnswer;
}
