//! The daemon over HTTP, on an incusd in memory. One binary for all of it: each costs a link.

mod endpoints;
mod installed;
mod sample;
mod service;
mod tunnels;
