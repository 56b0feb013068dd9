//! Operations: durable changes that can be watched, waited for, and cancelled. Not who runs them.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Effect, Endpoint, Method, Problem, Subject, ulid::is_ulid};

/// An operation's id, a ULID.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"))]
pub struct OperationId(String);

/// Why a text is not an [`OperationId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operation's id is 26 digits and capital letters, such as 01JD3ZQ8M4K6T1W9V5R2X7Y0BC")]
pub struct NotAnOperationId;

impl OperationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperationId {
    type Err = NotAnOperationId;

    fn from_str(text: &str) -> Result<Self, NotAnOperationId> {
        if is_ulid(text, char::is_ascii_uppercase) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnOperationId)
        }
    }
}

impl TryFrom<String> for OperationId {
    type Error = NotAnOperationId;
    fn try_from(text: String) -> Result<Self, NotAnOperationId> {
        text.parse()
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> Self {
        id.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation is about: a username, or an image.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9:/._+-]{0,254}$"))]
pub struct Target(String);

/// Why a text is not a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a target is a username or an image, such as alice or images:debian/13")]
pub struct NotATarget;

impl Target {
    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        let good = (1..=255).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ":/._+-".contains(c));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotATarget)
        }
    }
}

impl TryFrom<String> for Target {
    type Error = NotATarget;
    fn try_from(text: String) -> Result<Self, NotATarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Makes a container.
    Create,
    /// Deletes one: keeps it for a while, or removes it at once.
    Delete,
    /// Brings a deleted container back.
    Undelete,
    /// Removes a deleted container for good, because its time is over or its space is needed.
    Purge,
    /// Starts a container.
    Start,
    /// Stops one.
    Stop,
    /// Lets a key log in.
    AddSshKey,
    /// Stops a key from logging in.
    RemoveSshKey,
    /// Prepares an image.
    PrepareImage,
    /// Deletes one.
    DeleteImage,
    /// Takes unclaimed containers into the store.
    Adopt,
    /// Removes an unclaimed container for good.
    PurgeUnclaimed,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Delete,
        Self::Undelete,
        Self::Purge,
        Self::Start,
        Self::Stop,
        Self::AddSshKey,
        Self::RemoveSshKey,
        Self::PrepareImage,
        Self::DeleteImage,
        Self::Adopt,
        Self::PurgeUnclaimed,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Purge => "purge",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::AddSshKey => "add_ssh_key",
            Self::RemoveSshKey => "remove_ssh_key",
            Self::PrepareImage => "prepare_image",
            Self::DeleteImage => "delete_image",
            Self::Adopt => "adopt",
            Self::PurgeUnclaimed => "purge_unclaimed",
        }
    }
}

/// Where an operation stands.
///
/// ```text
///   queued ──► running ──► succeeded
///     │           ├──────► failed
///     │           ▼
///     ├──────► cancelling ► cancelled   (or succeeded, where it was too late)
///     └───────────────────► cancelled
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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
    /// Not done; what was begun is undone.
    Failed,
    /// Undone because somebody asked.
    Cancelled,
}

impl OperationState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is over.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }

    /// Whether an operation in this state may come to be in `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => !matches!(next, Self::Queued),
            // Running again: another attempt.
            Self::Running => !matches!(next, Self::Queued),
            Self::Cancelling => next.is_final(),
            Self::Succeeded | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationStep {
    /// Its name, such as `boot`.
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// When it began, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// How long it took, milliseconds, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it is doing in words, such as `downloading images:debian/13`, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// How much of it is done, 0 to 100, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
}

/// A durable change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id; younger ones sort after older ones.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// To what: a username, or an image.
    pub target: String,
    /// Where it stands.
    pub state: OperationState,
    /// Its steps, in their order.
    pub steps: Vec<OperationStep>,
    /// How much of it is done, 0 to 100.
    pub progress: u8,
    /// How often it was begun, from 1; more than 1 after a crash.
    pub attempt: u32,
    /// When it is given up, RFC 3339.
    pub deadline: String,
    /// What caused it, such as `a request by cli` or `its retention ended`.
    pub cause: String,
    /// Who caused it.
    pub actor: Subject,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// What the request that began it answers, once it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was asked for, RFC 3339.
    pub created_at: String,
    /// When it last moved on, RFC 3339.
    pub updated_at: String,
    /// How long it waited for its turn from when it was asked for, milliseconds, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<u64>,
    /// How long it took in all from when it was asked for, milliseconds, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The answer about one operation, and to a request that was told not to wait for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationAnswer {
    /// The operation.
    pub operation: Operation,
}

/// List operations, the youngest first; those that ended are kept for 7 days.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListOperations {
    /// Only those in this state
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<OperationState>,
    /// Only those of this kind
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OperationKind>,
    /// Only those on this username or image
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// At most so many; all where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU32>,
    /// Go on from an earlier answer's nextCursor
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<OperationId>,
}

/// Operations that the caller may see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationList {
    /// The youngest first.
    pub operations: Vec<Operation>,
    /// Where the next page starts; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<OperationId>,
}

impl Endpoint for ListOperations {
    const ID: &'static str = "list_operations";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/operations";
    const EFFECT: Effect = Effect::Read;
    type Answer = OperationList;
}

/// Get one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetOperation {
    /// Which operation
    pub id: OperationId,
}

impl Endpoint for GetOperation {
    const ID: &'static str = "get_operation";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/operations/{id}";
    const EFFECT: Effect = Effect::Read;
    type Answer = OperationAnswer;
}

/// Wait until an operation is over, or the timeout; answers with it as it is then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitOperation {
    /// Which operation
    pub id: OperationId,
    /// How long to wait, seconds, 0 to 120
    #[serde(default = "half_a_minute")]
    pub timeout: u32,
}

fn half_a_minute() -> u32 {
    30
}

impl Endpoint for WaitOperation {
    const ID: &'static str = "wait_operation";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/operations/{id}/wait";
    const EFFECT: Effect = Effect::Read;
    const PATIENCE: Duration = Duration::from_secs(150);
    type Answer = OperationAnswer;
}

/// Cancel an operation: what was begun is undone. Answers at once; wait for its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelOperation {
    /// Which operation
    pub id: OperationId,
}

impl Endpoint for CancelOperation {
    const ID: &'static str = "cancel_operation";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/operations/{id}/cancel";
    const EFFECT: Effect = Effect::Write;
    type Answer = OperationAnswer;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_ulid() {
        let id: OperationId = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC".parse().unwrap();
        assert_eq!(id.to_string(), "01JD3ZQ8M4K6T1W9V5R2X7Y0BC");
        for bad in [
            "",
            "01jd3zq8m4k6t1w9v5r2x7y0bc",
            "81JD3ZQ8M4K6T1W9V5R2X7Y0BC",
            "../x",
        ] {
            assert!(bad.parse::<OperationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_on_the_wire_are_those_of_the_code() {
        for kind in OperationKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in OperationState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn what_is_over_stays_as_it_is() {
        for from in OperationState::ALL {
            for to in OperationState::ALL {
                if from.is_final() {
                    assert!(!from.may_become(to), "{from:?} {to:?}");
                }
            }
        }
        assert!(OperationState::Cancelling.may_become(OperationState::Succeeded));
        assert!(!OperationState::Cancelling.may_become(OperationState::Running));
    }
}
