//! Operations: what Incus has accepted and goes on with, and waiting for their end.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::envelope::{Verdict, decode};
use crate::error::{Error, Result};
use crate::nullable::nullable;
use crate::status::StatusCode;

/// The longest Incus is asked to hold one `/wait`; the loop asks again.
const SLICE: Duration = Duration::from_secs(30);

/// An operation as it was when it was read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// A UUID.
    pub id: String,
    /// `task`, `websocket` or `token`.
    pub class: String,
    /// For people, such as `Creating instance`.
    pub description: String,
    /// For people; use [`Operation::status_code`].
    pub status: String,
    /// Where it stands.
    pub status_code: StatusCode,
    /// URLs by kind, such as `instances`.
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, Vec<String>>,
    /// What it tells: progress, a fingerprint, an exit code.
    pub metadata: Value,
    /// Whether it can be cancelled.
    pub may_cancel: bool,
    /// Why it failed; empty otherwise.
    pub err: String,
}

impl Operation {
    /// Fingerprint of the image that the operation made.
    pub fn fingerprint(&self) -> Option<&str> {
        self.metadata.get("fingerprint")?.as_str()
    }

    /// How much of an image's root filesystem has been fetched; `None` before its first byte.
    pub fn download_percent(&self) -> Option<u8> {
        // `rootfs: 40% (12.34MB/s)`; the few bytes of `metadata: …` come first.
        let text = self.metadata.get("download_progress")?.as_str()?;
        let (_, rest) = text.split_once("rootfs: ")?;
        rest.split_once('%')?.0.trim().parse().ok()
    }

    /// The instances that it is about, by name; a create's, too, before there is one.
    pub fn instances(&self) -> impl Iterator<Item = String> {
        let urls = self.resources.get("instances").into_iter().flatten();
        urls.filter_map(|url| {
            let (path, _query) = url.split_once('?').unwrap_or((url, ""));
            let name = path.strip_prefix("/1.0/instances/")?;
            let (name, _below) = name.split_once('/').unwrap_or((name, ""));
            Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
        })
    }

    /// Whether it is somebody's session in an instance (a shell, a console, a stream of a file), which ends
    /// when he goes.
    pub fn is_session(&self) -> bool {
        self.class == "websocket"
    }

    /// Whether it is a command in an instance, which changes nothing of the instance itself.
    pub fn is_command(&self) -> bool {
        self.description == "Executing command"
    }

    fn into_result(self) -> Result<Self> {
        if self.status_code.is_success() {
            Ok(self)
        } else {
            Err(Error::operation_failed(0, self.err))
        }
    }
}

impl Client {
    /// Reads an operation; [`Error::NotFound`] some 5 s after its end.
    pub async fn operation(&self, id: &str) -> Result<Operation> {
        self.get(&["operations", id], &[]).await
    }

    /// The operations of the project that have not ended, whoever began them: also those of a client
    /// that is gone. None outlives Incus's own end.
    pub async fn operations(&self) -> Result<Vec<Operation>> {
        // By status, in words; only statuses that occur are there.
        let all: BTreeMap<String, Vec<Operation>> =
            self.get(&["operations"], &[("recursion", "1")]).await?;
        let all = all.into_values().flatten();
        Ok(all.filter(|one| !one.status_code.is_final()).collect())
    }

    /// Waits for the end of an operation and answers with it, or with why it failed.
    ///
    /// Begin at once: the record goes 5 s after the end ([`Error::OperationVanished`]). After
    /// [`Error::Timeout`] the operation goes on.
    ///
    /// ```text
    ///          ┌──────────────── it still runs ───────────────┐
    ///          ▼                                              │
    ///   GET …/wait ── "error" ──► GET operation ──────────────┤
    ///          │                      ├─ it failed ──► the error its text means
    ///          │                      ├─ it is well ─► Ok
    ///          ├─ sync: Ok            └─ 404 ────────► the error `/wait` told, if it told one
    ///          └─ deadline: Timeout                    of the operation's; else OperationVanished
    /// ```
    pub async fn wait(&self, operation: &Operation, deadline: Duration) -> Result<Operation> {
        let end = Instant::now() + deadline;
        let timeout = || Error::Timeout {
            what: format!("operation {} ({})", operation.id, operation.description),
            after: deadline,
        };
        if operation.status_code.is_final() {
            return operation.clone().into_result();
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timeout());
            }
            let asked = self.wait_once(&operation.id, left);
            let (code, text) = match tokio::time::timeout(left, asked).await {
                Err(_) => return Err(timeout()),
                Ok(verdict) => match verdict? {
                    Verdict::Sync(metadata) | Verdict::Async(metadata) => {
                        let operation: Operation = decode(&metadata)?;
                        if operation.status_code.is_final() {
                            return operation.into_result();
                        }
                        continue;
                    }
                    Verdict::No { code, text } => (code, text),
                },
            };
            // "Ran out of time" of the wait and of the operation itself read the same, so the
            // operation is asked, once.
            match self.operation(&operation.id).await {
                Ok(now) if !now.status_code.is_final() => {}
                Ok(now) if now.status_code.is_success() => return Ok(now),
                Ok(_failed) => return Err(Error::operation_failed(code, text)),
                Err(Error::NotFound(_)) if is_about_the_wait(code, &text) => {
                    return Err(Error::OperationVanished(operation.id.clone()));
                }
                Err(Error::NotFound(_)) => return Err(Error::operation_failed(code, text)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks Incus to give an operation up; it says itself whether it can ([`Operation::may_cancel`]).
    pub async fn cancel(&self, operation: &Operation) -> Result<()> {
        self.delete(&["operations", &operation.id], &[]).await
    }

    /// One `/wait`, which Incus holds for at most [`SLICE`] and at least its smallest unit, 1 s.
    async fn wait_once(&self, id: &str, left: Duration) -> Result<Verdict> {
        let slice = left.min(SLICE).as_secs().max(1);
        let seconds = slice.to_string();
        let call = self.call(
            Method::GET,
            &["operations", id, "wait"],
            &[("timeout", &seconds)],
            Duration::from_secs(slice + 5),
        )?;
        self.verdict(call).await
    }
}

/// Whether `/wait` spoke of itself (out of time, no such record) or told how the operation ended.
fn is_about_the_wait(code: u16, text: &str) -> bool {
    text.contains("context deadline exceeded") || (code == 404 && text == "Operation not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_names_its_instances() {
        let text = r#"{"id":"u","status_code":103,"resources":{"instances":
            ["/1.0/instances/a1?project=p","/1.0/instances/b%2D2","/1.0/instances/c/snapshots/s"],
            "images":["/1.0/images/f00"]}}"#;
        let operation: Operation = serde_json::from_str(text).unwrap();
        let named: Vec<String> = operation.instances().collect();
        assert_eq!(named, ["a1", "b-2", "c"]);
        assert_eq!(Operation::default().instances().count(), 0);
    }
}
