//! An operation: a durable change that takes longer than a blink. Not who runs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operation's id, a ULID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationId(pub String);

/// What an operation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Makes a container.
    Create,
    /// Removes one.
    Delete,
}

/// Where an operation stands. `Queued → Running → Succeeded | Failed`; `Cancelling → Cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Waits for its turn.
    Queued,
    /// Is being done.
    Running,
    /// Is being undone because somebody asked.
    Cancelling,
    /// Done.
    Succeeded,
    /// Undone because a step failed.
    Failed,
    /// Undone because somebody asked.
    Cancelled,
}
