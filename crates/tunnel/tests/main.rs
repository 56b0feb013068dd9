//! One TCP connection inside one WebSocket. One binary for all of it: each costs a link.

mod carry;
