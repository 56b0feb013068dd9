//! What an instance does and uses now, and starting, stopping, freezing it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Result;
use crate::nullable::{count, nullable};
use crate::operation::Operation;
use crate::status::StatusCode;

/// An instance's use of resources. Of a stopped one all but `disk` is zero or empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InstanceState {
    /// For people; use [`InstanceState::status_code`].
    pub status: String,
    /// Where it stands.
    pub status_code: StatusCode,
    /// Process id of its init, on the host; 0 when stopped.
    #[serde(deserialize_with = "count")]
    pub pid: u64,
    /// Number of its processes.
    #[serde(deserialize_with = "count")]
    pub processes: u64,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// Processor time.
    #[serde(deserialize_with = "nullable")]
    pub cpu: CpuState,
    /// Memory.
    #[serde(deserialize_with = "nullable")]
    pub memory: MemoryState,
    /// By device, such as `root`; empty with the `dir` driver.
    #[serde(deserialize_with = "nullable")]
    pub disk: BTreeMap<String, DiskState>,
    /// By link inside, such as `eth0` and `lo`.
    #[serde(deserialize_with = "nullable")]
    pub network: BTreeMap<String, NetworkState>,
}

/// Processor time of an instance.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct CpuState {
    /// Used since its start, in nanoseconds over all cores.
    #[serde(deserialize_with = "count")]
    pub usage: u64,
    /// Allotted per second, in nanoseconds.
    #[serde(deserialize_with = "count")]
    pub allocated_time: u64,
}

/// Memory of an instance, in bytes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct MemoryState {
    /// In use.
    #[serde(deserialize_with = "count")]
    pub usage: u64,
    /// The most that was in use; 0 where the kernel does not say.
    #[serde(deserialize_with = "count")]
    pub usage_peak: u64,
    /// Its limit, or the host's memory.
    #[serde(deserialize_with = "count")]
    pub total: u64,
    /// In swap.
    #[serde(deserialize_with = "count")]
    pub swap_usage: u64,
}

/// Use of a volume, in bytes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct DiskState {
    /// Written.
    #[serde(deserialize_with = "count")]
    pub usage: u64,
    /// Its limit; 0 where there is none.
    #[serde(deserialize_with = "count")]
    pub total: u64,
}

/// A link inside an instance.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NetworkState {
    /// Its addresses.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<Address>,
    /// Its traffic.
    #[serde(deserialize_with = "nullable")]
    pub counters: NetworkCounters,
    /// Its MAC address.
    pub hwaddr: String,
    /// Name of the other end, on the host.
    pub host_name: String,
    /// In bytes.
    #[serde(deserialize_with = "count")]
    pub mtu: u64,
    /// `up` or `down`.
    pub state: String,
    /// `broadcast`, `loopback`, …
    #[serde(rename = "type")]
    pub kind: String,
}

/// An address of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Address {
    /// `inet` or `inet6`.
    pub family: String,
    /// Without the prefix length.
    pub address: String,
    /// The prefix length.
    pub netmask: String,
    /// `local`, `link` or `global`.
    pub scope: String,
}

/// Traffic of a link, as its instance sees it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct NetworkCounters {
    /// Bytes in.
    #[serde(deserialize_with = "count")]
    pub bytes_received: u64,
    /// Bytes out.
    #[serde(deserialize_with = "count")]
    pub bytes_sent: u64,
    /// Packets in.
    #[serde(deserialize_with = "count")]
    pub packets_received: u64,
    /// Packets out.
    #[serde(deserialize_with = "count")]
    pub packets_sent: u64,
}

/// What an instance is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StateAction {
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// Stop and start.
    Restart,
    /// Freeze its processes.
    Freeze,
    /// Let them go on.
    Unfreeze,
}

/// A change of an instance's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// What it is to do.
    pub action: StateAction,
    /// How long a graceful stop may take, sent in whole seconds, rounded up; then the operation
    /// fails. `None` leaves it to Incus, which waits for minutes.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether to kill instead of asking.
    pub force: bool,
}

impl StateChange {
    /// Start.
    pub fn start() -> Self {
        Self {
            action: StateAction::Start,
            timeout: None,
            force: false,
        }
    }

    /// Ask init to stop. Impossible on a frozen instance, and lost in the first 0.1 s of a start.
    pub fn stop(timeout: Duration) -> Self {
        Self {
            action: StateAction::Stop,
            timeout: Some(timeout),
            force: false,
        }
    }

    /// Kill.
    pub fn kill() -> Self {
        Self {
            action: StateAction::Stop,
            timeout: None,
            force: true,
        }
    }

    /// Ask init to stop, then start.
    pub fn restart(timeout: Duration) -> Self {
        Self {
            action: StateAction::Restart,
            timeout: Some(timeout),
            force: false,
        }
    }

    /// Freeze.
    pub fn freeze() -> Self {
        Self {
            action: StateAction::Freeze,
            timeout: None,
            force: false,
        }
    }

    /// Unfreeze.
    pub fn unfreeze() -> Self {
        Self {
            action: StateAction::Unfreeze,
            timeout: None,
            force: false,
        }
    }
}

fn seconds<S: serde::Serializer>(timeout: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    let timeout = timeout.unwrap_or_default();
    to.serialize_u64(timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0))
}

impl Client {
    /// What an instance does and uses; about 8 ms.
    pub async fn instance_state(&self, name: &str) -> Result<InstanceState> {
        self.get(&["instances", name, "state"], &[]).await
    }

    /// Starts, stops, restarts, freezes or unfreezes an instance. That it is so already is told by
    /// [`Client::wait`] as [`Error::Running`](crate::Error::Running) or
    /// [`Error::Stopped`](crate::Error::Stopped).
    pub async fn change_state(&self, name: &str, change: &StateChange) -> Result<Operation> {
        self.begin(Method::PUT, &["instances", name, "state"], change)
            .await
    }
}
