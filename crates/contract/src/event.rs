//! Events: what happens, told as it happens, and told again to whoever was away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Operation, State, Stream, StreamKind, Target, Username};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An operation began, moved on, or ended.
    Operation {
        /// As it is since then.
        operation: Box<Operation>,
    },
    /// A container came to be in another state.
    #[serde(rename_all = "camelCase")]
    Container {
        /// Whose.
        username: Username,
        /// The state.
        state: State,
        /// Why, where there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// When, RFC 3339.
        at: String,
    },
    /// Events were lost to this reader: it was away for longer than they are kept, or read too
    /// slowly. Look at everything anew.
    Reset {},
}

impl Event {
    /// The name of its type, which is also the SSE field `event`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Operation { .. } => "operation",
            Self::Container { .. } => "container",
            Self::Reset {} => "reset",
        }
    }
}

/// Listen to what happens to what the caller may see. Each event has an id; with the last one in
/// the header `Last-Event-ID`, listening goes on right behind it. Without, it begins now. Kept for
/// 7 days.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenEvents {
    /// Only what happens to this username or image
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

impl ListenEvents {
    /// The header with the last event that was heard.
    pub const LAST_EVENT_ID: &'static str = "last-event-id";
}

impl Stream for ListenEvents {
    const ID: &'static str = "listen_events";
    const PATH: &'static str = "/v1/events";
    const EFFECT: Effect = Effect::Read;
    const KIND: StreamKind = StreamKind::Events;
}
