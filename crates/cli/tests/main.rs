//! The program, its daemon killed at every point and at random, and the same on a real Incus. One binary for all of it: each costs a link.

mod chaos;
mod cli;
mod live;
