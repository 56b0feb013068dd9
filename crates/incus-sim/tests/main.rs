//! The incusd in memory, held against the real one. One binary for all of it: each costs a link.

mod conformance;
mod faults;
mod scale;
