//! incus-sim
