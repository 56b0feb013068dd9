//! What decides and remembers: containers, images, operations, tokens. It speaks to Incus and to
//! its own store, and knows nothing of HTTP.

mod access;
mod admin;
mod asked;
mod claims;
mod clock;
mod containarium;
mod create;
mod delete;
pub mod doctor;
mod engine;
mod error;
mod events;
mod exit;
mod fault;
pub mod host_ports;
pub mod images;
mod installation;
mod inventory;
mod kernel_log;
mod leaks;
mod login;
pub mod mark;
mod operations;
mod power;
mod principal;
mod purge;
mod quota_counting;
mod read;
mod reconcile;
mod room;
mod samples;
pub mod secret;
pub mod setup;
mod ssh_keys;
mod step;
mod store;
pub mod token;
mod tunnel;
mod undelete;
mod watch;
mod work;

pub use containarium_incus::{Certificates, Client as Incus, chain};

pub use access::{Decision, decide, decide_shared, may_ever};
pub use asked::Asked;
pub use containarium::{Containarium, RETENTION};
pub use error::Error;
pub use events::{Telling, Told};
pub use fault::Fault;
pub use installation::Installation;
pub use operations::Begun;
pub use principal::{NotARole, Principal, Role};
pub use step::{KILL_VARIABLE, Moment, Step, kill_points};
pub use store::{Harm, Lock, Phase, Record, Spec, Store, StoreError, Unsound};
pub use tunnel::{Reached, Tunnel};
