//! What decides and remembers: containers, images, operations, tokens. It speaks to Incus and to
//! its own store, and knows nothing of HTTP.

mod access;
mod claims;
mod containarium;
mod create;
pub mod doctor;
mod engine;
mod error;
pub mod host_ports;
pub mod images;
mod installation;
mod login;
mod power;
mod principal;
mod quota_counting;
mod read;
mod remove;
pub mod secret;
pub mod setup;
mod ssh_keys;
mod store;
pub mod token;
mod tunnel;

pub use containarium_incus::{Certificates, Client as Incus};

pub use access::{Decision, decide, decide_shared, may_ever};
pub use containarium::Containarium;
pub use error::Error;
pub use installation::Installation;
pub use principal::{NotARole, Principal, Role};
pub use store::{Phase, Record, Spec, Step, Store, StoreError};
pub use tunnel::{Reached, Tunnel};
