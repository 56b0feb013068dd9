//! An answer as it came, good or not. What it says is the caller's to read.

use std::time::Duration;

use containarium_contract::{Problem, STOPPING};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::CallError;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// `METHOD /path`.
    pub(crate) asked: String,
    /// Its status.
    pub(crate) status: StatusCode,
    /// When the daemon wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
    /// Its body.
    pub(crate) body: String,
}

impl Reply {
    /// Whether it is the operation that was begun, in place of an answer.
    pub(crate) fn is_accepted(&self) -> bool {
        self.status == StatusCode::ACCEPTED
    }

    /// When to ask the next daemon, where this one is about to end.
    pub(crate) fn stopping(&self) -> Option<Duration> {
        if self.status != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let problem: Problem = serde_json::from_str(&self.body).ok()?;
        let wanted = self.retry_after.unwrap_or_default();
        problem.error.starts_with(STOPPING).then_some(wanted)
    }

    /// What it says, where it is good.
    pub(crate) fn read<A: DeserializeOwned>(self) -> Result<A, CallError> {
        let Self {
            asked,
            status,
            body,
            ..
        } = self;
        if !status.is_success() {
            return Err(CallError::refused(status.as_u16(), body));
        }
        serde_json::from_str(&body).map_err(|e| CallError::Protocol(format!("{asked}: {e}")))
    }
}
