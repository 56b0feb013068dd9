//! What core decides and remembers, on an incusd in memory. One binary for all of it: each costs a link.

mod adopt;
mod containers;
mod joined;
mod lost;
mod retention;
mod ssh_keys;
mod standby;
