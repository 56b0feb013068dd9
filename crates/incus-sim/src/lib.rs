//! An incusd in memory, on a unix socket, with faults on request.
//!
//! What it is for: testing, and trying out, whatever speaks Incus's REST API, in milliseconds and
//! without root's powers over a kernel. What it is not for: being complete. It answers the few calls
//! its users make, the way incusd 6.0.4 does; `tests/conformance.rs` runs the same cases on it and on
//! a real one, and a behaviour enters here only with a case there. It has no guests: nothing can be
//! executed in its instances, and their files are names with bytes. An instance that runs and has a NIC with an
//! `ipv4.address` answers there, on port [`Sim::SSH_PORT`], with a banner of SSH, so give its networks
//! addresses of [`Sim::gateway`]'s subnet, which is of this machine's loopback and no other sim's.
//! It wants no rights: whoever may open a socket may run it.
//! For want of guests an image can be fetched, named and deleted, and none be made: a preparation of
//! Containarium's fails here when it comes to that.
//!
//! Known to differ: images are seen from every project; a start during a start is refused as busy.

mod answer;
mod change;
mod crash;
mod create;
mod events;
mod exec;
mod fault;
mod files;
mod guest;
mod image;
mod instance;
mod instances;
mod operation;
mod route;
mod sim;
mod snapshot;
mod subnet;
mod world;

pub use crash::Left;
pub use fault::{Fault, On};
pub use sim::Sim;
