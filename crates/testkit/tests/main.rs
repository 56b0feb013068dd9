//! The structure of the workspace, the specification, and the live suite. One binary for all of it: each costs a link.

mod arrows;
mod bench;
mod instructions;
mod live;
mod scale;
mod specification;
