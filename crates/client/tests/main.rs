//! The typed client: calls, changes that are followed, and TLS. One binary for all of it: each costs a link.

mod calls;
mod changes;
mod https;
