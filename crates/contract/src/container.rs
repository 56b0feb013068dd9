//! Containers: what is shown of them, and the requests that make, read, change and remove them.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize, ContainerId, Cpus, Cursor, Effect, Endpoint, EngineHealth, ImageRef, LabelFilter,
    LabelKey, LabelValue, Method, Metrics, OperationId, OperationKind, SshPublicKey, Subject,
    Username, endpoint::MINUTES,
};

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being made; not there for anybody yet.
    Creating,
    /// Runs, and a login works.
    Running,
    /// Is stopped.
    Stopped,
    /// Is frozen: its processes wait.
    Frozen,
    /// Is being started, or boots: a login does not work yet.
    Starting,
    /// Is being stopped.
    Stopping,
    /// Is not as it should be.
    Error,
    /// Is being removed.
    Deleting,
    /// Is deleted, and can be brought back for a while.
    Deleted,
}

/// What a container may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// CPU cores, such as "4"
    pub cpu: Cpus,
    /// Memory, such as "4GB" or "2048MB"
    pub memory: ByteSize,
    /// Disk, such as "50GB"
    pub disk: ByteSize,
}

impl Default for Resources {
    fn default() -> Self {
        let size = |gigabytes: &str| {
            gigabytes
                .parse()
                .unwrap_or_else(|_| ByteSize::from_bytes(1))
        };
        Self {
            cpu: "4"
                .parse()
                .unwrap_or_else(|_| unreachable!("4 is a number of cores")),
            memory: size("4GB"),
            disk: size("50GB"),
        }
    }
}

/// Where a container is on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Its IPv4 address; it never changes.
    pub ip_address: String,
    /// Its MAC address.
    pub mac_address: String,
    /// The interface inside.
    pub interface: String,
    /// The bridge on the host.
    pub bridge: String,
}

/// A container. What the engine cannot tell is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Tells it from any other that has or had its username; absent in answers of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerId>,
    /// `<username>-container`, its hostname too.
    pub name: String,
    /// The login user inside, and the container's address in every call.
    pub username: Username,
    /// Whose container it is.
    pub owner: Subject,
    /// Absent while the engine does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// What it may use, as it is in force.
    pub resources: Resources,
    /// The keys that may log in now.
    pub ssh_keys: Vec<SshPublicKey>,
    /// Where it is on the network.
    pub network: Network,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub updated_at: u64,
    /// The caller's own words about it.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// What it was made from.
    pub image: ImageRef,
    /// Whether Docker works inside.
    pub docker_enabled: bool,
    /// Why its state is `error`, or that a login cannot be made although it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How it last stopped, where it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// Until when it can be brought back, RFC 3339, where it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_until: Option<String>,
}

/// Why a container stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// Somebody asked Containarium to stop or delete it.
    Requested,
    /// It ended by itself: it was shut down from inside, or its init ended.
    Guest,
    /// The kernel killed its init because it had used up its memory.
    OutOfMemory,
    /// Somebody stopped it through Incus, past Containarium.
    Engine,
    /// It stopped while Containarium was not looking, as when the host went down.
    Unobserved,
}

/// How a container stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// When, RFC 3339; where nobody looked, when it was found out.
    pub at: String,
    /// Why.
    pub reason: ExitReason,
    /// The same in a sentence.
    pub detail: String,
    /// Who caused it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The operation that did it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The last lines of its console, where it did not end as it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

/// Create a Linux container of its own for a user, with SSH, sudo and, unless declined, Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateContainer {
    /// The login user, and the container's name: 1 to 31 of a-z, 0-9 and hyphen
    pub username: Username,
    /// What it may use
    #[serde(default)]
    pub resources: Resources,
    /// Public keys that may log in, each one line of authorized_keys
    #[serde(default)]
    pub ssh_keys: Vec<SshPublicKey>,
    /// What to make it from; the server's default image where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Whether Docker shall work inside
    #[serde(default = "yes")]
    pub enable_docker: bool,
    /// Words of your own about it
    #[serde(default)]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Whose it is (admins only): the username where an admin asks, else the caller
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Subject>,
    /// Answer at once with 202 and the operation, as `Prefer: respond-async` asks of any change
    #[serde(default, rename = "async", skip_serializing_if = "std::ops::Not::not")]
    pub asynchronous: bool,
}

fn yes() -> bool {
    true
}

/// A container that a login would reach now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The container.
    pub container: Container,
    /// What was done, and what was done otherwise than asked.
    pub message: String,
    /// Logs in, from the server itself.
    pub ssh_command: String,
    /// Logs in, from wherever the `containarium` command reaches this server.
    pub ssh_command_remote: String,
    /// Whether it was booted beforehand.
    #[serde(default)]
    pub served_from: ServedFrom,
}

/// Where a new container comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServedFrom {
    /// It was booted beforehand and waited for its user.
    Standby,
    /// It was made and booted when it was asked for.
    #[default]
    Cold,
}

impl Endpoint for CreateContainer {
    const ID: &'static str = "create_container";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/containers";
    const EFFECT: Effect = Effect::Write;
    const PATIENCE: Duration = MINUTES;
    const STATUS: u16 = 201;
    const OPERATION: Option<OperationKind> = Some(OperationKind::Create);
    type Answer = Created;

    fn responds_async(&self) -> bool {
        self.asynchronous
    }
}

/// List containers, sorted by username; of deleted ones there may be several of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListContainers {
    /// Only those in this state; `deleted` shows those that can be brought back, which no other list does
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Only those with this label: `key=value`, or `key`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelFilter>,
    /// Only those of this owner
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Subject>,
    /// At most so many; all where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU32>,
    /// Go on from an earlier answer's nextCursor
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// Containers that the caller may see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerList {
    /// Sorted by username.
    pub containers: Vec<Container>,
    /// How many match, on all pages.
    pub total_count: u64,
    /// Where the next page starts; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// Whether the engine answered.
    pub engine: EngineHealth,
}

impl Endpoint for ListContainers {
    const ID: &'static str = "list_containers";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/containers";
    const EFFECT: Effect = Effect::Read;
    type Answer = ContainerList;
}

/// Get one container and what it uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetContainer {
    /// Whose container
    pub username: Username,
}

/// The answer to [`GetContainer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerAnswer {
    /// The container.
    pub container: Container,
    /// What it used when it was last measured, which a look begins anew when that is 5 s ago; absent
    /// until it was measured once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Whether the engine answered.
    pub engine: EngineHealth,
}

impl Endpoint for GetContainer {
    const ID: &'static str = "get_container";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/containers/{username}";
    const EFFECT: Effect = Effect::Read;
    type Answer = ContainerAnswer;
}

/// Delete a container. It must be stopped, or `force` given. It is kept for a while, 24 hours
/// unless the server says otherwise, and can be brought back; with `purge` it is gone at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteContainer {
    /// Whose container
    pub username: Username,
    /// Delete it even if it runs
    #[serde(default)]
    pub force: bool,
    /// Remove it and everything in it at once, for good
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// Only if it is the one with this id, and not another that has its username by now
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerId>,
    /// Only if it is kept for a while: refused where the server keeps none
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_kept: bool,
}

/// A container that is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// What was done.
    pub message: String,
    /// `<username>-container`.
    pub container_name: String,
    /// Until when it can be brought back, RFC 3339; null: it is gone.
    pub deleted_until: Option<String>,
}

impl Endpoint for DeleteContainer {
    const ID: &'static str = "delete_container";
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str = "/v1/containers/{username}";
    const EFFECT: Effect = Effect::Destroy;
    const PATIENCE: Duration = Duration::from_secs(11 * 60);
    const OPERATION: Option<OperationKind> = Some(OperationKind::Delete);
    type Answer = Deleted;
}

/// Bring back a deleted container, as it was: the one of that name that was deleted last, or the one
/// with that id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UndeleteContainer {
    /// Whose container
    pub username: Username,
    /// Which one of those that are kept; the one that was deleted last where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerId>,
}

impl Endpoint for UndeleteContainer {
    const ID: &'static str = "undelete_container";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/containers/{username}/undelete";
    const EFFECT: Effect = Effect::Write;
    const PATIENCE: Duration = Duration::from_secs(6 * 60);
    const OPERATION: Option<OperationKind> = Some(OperationKind::Undelete);
    type Answer = ContainerChanged;
}

/// Start a stopped container; answers when a login works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartContainer {
    /// Whose container
    pub username: Username,
}

/// Stop a running container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopContainer {
    /// Whose container
    pub username: Username,
    /// Kill it instead of asking it to shut down
    #[serde(default)]
    pub force: bool,
    /// How long it may take to shut down, seconds, 1 to 600
    #[serde(default = "half_a_minute")]
    pub timeout: u32,
}

fn half_a_minute() -> u32 {
    30
}

/// A container after a change of its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerChanged {
    /// What was done, or that it was so already.
    pub message: String,
    /// The container as it is now.
    pub container: Container,
}

impl Endpoint for StartContainer {
    const ID: &'static str = "start_container";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/containers/{username}/start";
    const EFFECT: Effect = Effect::Write;
    const PATIENCE: Duration = Duration::from_secs(6 * 60);
    const OPERATION: Option<OperationKind> = Some(OperationKind::Start);
    type Answer = ContainerChanged;
}

impl Endpoint for StopContainer {
    const ID: &'static str = "stop_container";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/containers/{username}/stop";
    const EFFECT: Effect = Effect::Write;
    const PATIENCE: Duration = Duration::from_secs(16 * 60);
    const OPERATION: Option<OperationKind> = Some(OperationKind::Stop);
    type Answer = ContainerChanged;
}
