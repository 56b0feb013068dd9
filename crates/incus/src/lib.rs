//! Incus's REST API, typed, and nothing of ours.
//!
//! What this crate is for: one [`Client`] on Incus's unix socket, a method per call, types that hold
//! the fields a caller uses, and one [`Error`]. What it is not for: naming, placing, retrying or
//! deciding anything. It knows no word that Incus's documentation does not know.
//!
//! Three habits of Incus shape it (seen on 6.0.4):
//!
//! * A connection that has sent nothing blocks the socket for everybody, so every request connects,
//!   writes and closes in one step; there is no pool and no keep-alive.
//! * A failed operation, and a wait that ran out of time, are HTTP 200 with `"type":"error"`; so the
//!   body is judged and the HTTP status is not.
//! * Records of operations vanish about 5 s after their end, so a wait may find nothing
//!   ([`Error::OperationVanished`]): the outcome is then unknown, not failed.
//!
//! ```no_run
//! # async fn example() -> Result<(), containarium_incus::Error> {
//! use containarium_incus::{Client, InstancePost, Source};
//! use std::time::Duration;
//!
//! let incus = Client::unix("/var/lib/incus/unix.socket").in_project("demo");
//! let post = InstancePost { start: true, ..InstancePost::new("a1", Source::alias("debian")) };
//! let operation = incus.create_instance(&post).await?;
//! incus.wait(&operation, Duration::from_secs(60)).await?;
//! assert!(incus.instance("a1").await?.value.status_code.is_running());
//! # Ok(()) }
//! ```

mod address;
mod client;
mod console;
mod elements;
mod envelope;
mod error;
mod events;
mod exec;
mod files;
mod image;
mod image_import;
mod instance;
mod network;
mod nullable;
mod operation;
mod project;
mod server;
mod snapshot;
mod state;
mod status;
mod storage;
mod template;
mod transport;
mod upload;

pub use address::{BadAddress, Certificates};
pub use client::{Client, Etagged};
pub use error::{Error, Result, chain};
pub use events::{Event, EventType, Events, Happened, Heard, Lifecycle, Requestor};
pub use exec::{Exec, ExecOutput};
pub use files::{FileKind, FilePost};
pub use image::{Image, ImageAlias, ImageAliasName, ImagePublish, ImagePull, PublishSource};
pub use instance::{Devices, ImageRef, Instance, InstancePatch, InstancePost, Source};
pub use network::{Lease, Network, NetworkPost};
pub use operation::Operation;
pub use project::{Project, ProjectPost, ProjectPut};
pub use server::{Cpu, Environment, Load, Memory, Resources, Server, StorageDriver};
pub use snapshot::Snapshot;
pub use state::{
    Address, CpuState, DiskState, InstanceState, MemoryState, NetworkCounters, NetworkState,
    StateAction, StateChange,
};
pub use status::StatusCode;
pub use storage::{PoolSpace, StoragePool, StoragePoolPost, StorageVolume};
