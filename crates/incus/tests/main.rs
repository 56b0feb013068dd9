//! The typed client of Incus's API. One binary for all of it: each costs a link.

mod incusd;
mod traps;
