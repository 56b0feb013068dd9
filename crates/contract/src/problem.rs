//! The one error of the wire. Facts are enums in their own crates; this is only how they travel.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a request failed: a closed set that programs can match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not parseable: broken JSON, an unknown or mistyped field.
    Malformed,
    /// A value outside its grammar.
    InvalidValue,
    /// No token, or one that is not good.
    InvalidToken,
    /// The token's roles do not allow it.
    Forbidden,
    /// There is no such thing, or not for this caller.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The name is taken.
    AlreadyExists,
    /// It must be stopped first.
    NotStopped,
    /// Another container has its username by now.
    Replaced,
    /// It could not be taken back, and that was not wanted.
    Irreversible,
    /// Something else is being done to it.
    Busy,
    /// It is the last SSH key: nobody could log in afterwards.
    LastKey,
    /// What is inside the container stands in the way.
    GuestChanged,
    /// The body is too long.
    TooLarge,
    /// The body is not JSON.
    UnsupportedMedia,
    /// A quota would be exceeded.
    QuotaExceeded,
    /// Too many requests.
    RateLimited,
    /// The image is not here and cannot be had.
    ImageUnavailable,
    /// Incus does not answer.
    EngineUnavailable,
    /// No space is left.
    InsufficientStorage,
    /// It took longer than allowed.
    DeadlineExceeded,
    /// It was cancelled.
    Cancelled,
    /// The operation is over already.
    AlreadyFinished,
    /// Our fault; the request id finds it in the log.
    Internal,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 24] = [
        Self::Malformed,
        Self::InvalidValue,
        Self::InvalidToken,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::AlreadyExists,
        Self::NotStopped,
        Self::Replaced,
        Self::Irreversible,
        Self::Busy,
        Self::LastKey,
        Self::GuestChanged,
        Self::TooLarge,
        Self::UnsupportedMedia,
        Self::QuotaExceeded,
        Self::RateLimited,
        Self::ImageUnavailable,
        Self::EngineUnavailable,
        Self::InsufficientStorage,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::AlreadyFinished,
        Self::Internal,
    ];

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::InvalidToken => 401,
            Self::Forbidden | Self::QuotaExceeded => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists
            | Self::NotStopped
            | Self::Replaced
            | Self::Irreversible
            | Self::Busy
            | Self::LastKey
            | Self::GuestChanged
            | Self::Cancelled
            | Self::AlreadyFinished => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMedia => 415,
            Self::InvalidValue => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::ImageUnavailable | Self::EngineUnavailable => 503,
            Self::DeadlineExceeded => 504,
            Self::InsufficientStorage => 507,
        }
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidValue => "invalid_value",
            Self::InvalidToken => "invalid_token",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AlreadyExists => "already_exists",
            Self::NotStopped => "not_stopped",
            Self::Replaced => "replaced",
            Self::Irreversible => "irreversible",
            Self::Busy => "busy",
            Self::LastKey => "last_key",
            Self::GuestChanged => "guest_changed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RateLimited => "rate_limited",
            Self::ImageUnavailable => "image_unavailable",
            Self::EngineUnavailable => "engine_unavailable",
            Self::InsufficientStorage => "insufficient_storage",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::AlreadyFinished => "already_finished",
            Self::Internal => "internal",
        }
    }

    /// What it means, one sentence: the words above its name in this file.
    pub fn about(self) -> String {
        let schema = SchemaGenerator::default().into_root_schema_for::<Self>();
        let variants = schema.get("oneOf").and_then(Value::as_array);
        let text = |variant: &Value, key| Some(variant.get(key)?.as_str()?.to_owned());
        let own = |variant: &&Value| text(variant, "const").as_deref() == Some(self.as_str());
        let variant = variants.and_then(|all| all.iter().find(own));
        variant
            .and_then(|variant| text(variant, "description"))
            .unwrap_or_default()
    }

    /// Seconds after which the same request may well succeed; `None` where it will not.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::Busy => Some(1),
            Self::EngineUnavailable => Some(5),
            Self::Malformed
            | Self::InvalidValue
            | Self::InvalidToken
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::AlreadyExists
            | Self::NotStopped
            | Self::Replaced
            | Self::Irreversible
            | Self::LastKey
            | Self::GuestChanged
            | Self::TooLarge
            | Self::UnsupportedMedia
            | Self::QuotaExceeded
            | Self::ImageUnavailable
            | Self::InsufficientStorage
            | Self::DeadlineExceeded
            | Self::Cancelled
            | Self::AlreadyFinished
            | Self::Internal => None,
        }
    }
}

/// The body of a missing or bad token's 401, byte for byte, whatever was wrong with it.
pub const INVALID_TOKEN: &str = r#"{"error": "invalid token", "code": 401}"#;

/// How the sentence of a 503 begins that a daemon gives because it is about to end: the next one takes
/// up the same change under the same `Idempotency-Key`.
pub const STOPPING: &str = "the daemon is stopping";

/// What went wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[error("{error}")]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// One sentence that says what is so.
    pub error: String,
    /// The HTTP status again.
    pub code: u16,
    /// Absent only where the token was not good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What to do next, in the caller's own form: a command, a tool call, an HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Finds the cause in the daemon's log; only where the fault is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(reason: Reason, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            code: reason.status(),
            reason: Some(reason),
            hint: None,
            request_id: None,
        }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// A missing or bad token.
    pub fn invalid_token() -> Self {
        Self {
            error: "invalid token".to_owned(),
            code: 401,
            reason: None,
            hint: None,
            request_id: None,
        }
    }

    /// The body as it travels.
    pub fn to_body(&self) -> String {
        if *self == Self::invalid_token() {
            return INVALID_TOKEN.to_owned();
        }
        // Strings, a number and an enum of names always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_bad_token_reads_back_as_itself() {
        let read: Problem = serde_json::from_str(INVALID_TOKEN).unwrap();
        assert_eq!(read, Problem::invalid_token());
        assert_eq!(read.to_body(), INVALID_TOKEN);
    }

    #[test]
    fn every_reason_has_its_name_and_its_meaning() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert!(reason.about().ends_with('.'), "{reason:?}");
        }
    }

    #[test]
    fn every_reason_survives_the_wire() {
        for reason in Reason::ALL {
            let sent = Problem::new(reason, "it is so").with_hint("do this");
            let read: Problem = serde_json::from_str(&sent.to_body()).unwrap();
            assert_eq!(read, sent);
        }
    }
}
