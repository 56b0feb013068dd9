//! The words of Containarium's wire, written once.
//!
//! A request type *is* an endpoint ([`Endpoint`]): the daemon's route, the typed client call,
//! the MCP tool and the command are projections of that one impl. Names and quantities are
//! newtypes that parse once, at the edge; a [`Problem`] is the only error anybody sees.
//!
//! This crate decides nothing and performs no I/O.

mod admin;
mod container;
mod container_id;
mod cursor;
mod endpoint;
mod event;
mod fingerprint;
mod hint;
mod idempotency;
mod image_ref;
mod images;
mod input;
mod label;
mod metrics;
mod operation;
mod problem;
mod quantity;
mod restrictions;
mod ssh_key;
mod ssh_keys;
mod subject;
mod system;
mod tunnel;
mod ulid;
mod username;

pub use admin::{
    AdoptContainers, Adopted, InstanceName, Leak, LeakList, ListLeaks, ListUnclaimed,
    NotAnInstanceName, PurgeUnclaimed, Unclaimed, UnclaimedList, UnclaimedPurged,
};
pub use container::{
    Container, ContainerAnswer, ContainerChanged, ContainerList, CreateContainer, Created,
    DeleteContainer, Deleted, Exit, ExitReason, GetContainer, ListContainers, Network, Resources,
    ServedFrom, StartContainer, State, StopContainer, UndeleteContainer,
};
pub use container_id::{ContainerId, NotAContainerId};
pub use cursor::{Cursor, NotACursor};
pub use endpoint::{Effect, Endpoint, Method, Spec, Stream, StreamKind};
pub use event::{Event, ListenEvents};
pub use fingerprint::Fingerprint;
pub use hint::{Face, Hint};
pub use idempotency::{IdempotencyKey, NotAnIdempotencyKey};
pub use image_ref::ImageRef;
pub use images::{
    DeleteImage, Image, ImageDeleted, ImageList, ImagePrepared, ImageProgress, ImageState,
    ListImages, PrepareImage,
};
pub use input::{accept, quotable, read_text};
pub use label::{LabelFilter, LabelKey, LabelValue};
pub use metrics::{GetMetrics, ListMetrics, Metrics, MetricsAnswer};
pub use operation::{
    CancelOperation, GetOperation, ListOperations, NotATarget, NotAnOperationId, Operation,
    OperationAnswer, OperationId, OperationKind, OperationList, OperationState, OperationStep,
    StepState, Target, WaitOperation,
};
pub use problem::{INVALID_TOKEN, Problem, Reason, STOPPING};
pub use quantity::{ByteSize, Cpus};
pub use restrictions::{NotAPattern, NotRestrictions, Restrictions, UsernamePattern};
pub use ssh_key::SshPublicKey;
pub use ssh_keys::{AddSshKey, ListSshKeys, RemoveSshKey, SshKey, SshKeyList, SshKeysChanged};
pub use subject::Subject;
pub use system::{
    EngineHealth, GetSystemInfo, HostEngine, StandbyInfo, SystemInfo, SystemInfoAnswer,
};
pub use tunnel::{NotAPort, OpenTunnel, Port};
pub use username::Username;
