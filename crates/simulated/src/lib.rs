//! An installation on an incusd in memory, as `init` would leave one on a real one.
//!
//! For whoever tries the product without Linux's or root's powers (`containarium daemon --engine sim`),
//! and for tests. Nothing here is asked by a daemon: to it this is an engine's socket and a store like
//! any other.

mod simulated;

pub use containarium_incus_sim::{Fault, On, Sim};
pub use simulated::{NotSimulated, Simulated};
