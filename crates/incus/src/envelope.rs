//! Incus's envelope around every JSON answer, and the verdict on it.
//!
//! `type` and `error_code` of the body decide; the HTTP status does not, because a failed operation
//! comes with 200.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::nullable::nullable;
use crate::operation::Operation;
use crate::transport::Reply;

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, deserialize_with = "nullable")]
    error_code: u16,
    #[serde(default, deserialize_with = "nullable")]
    error: String,
    /// Read when it is known as what: a list of ten thousand is not read twice.
    #[serde(default, borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Sync,
    Async,
    Error,
}

/// What Incus said: done, accepted, or no.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Done; the metadata of the answer.
    Sync(Bytes),
    /// Accepted; the operation.
    Async(Bytes),
    /// Refused, or failed; the caller knows which and makes the [`Error`].
    No {
        /// `error_code`, or the HTTP status where it is 0.
        code: u16,
        /// Incus's sentence.
        text: String,
    },
}

impl Verdict {
    /// Reads the envelope of an answer.
    pub(crate) fn of(reply: &Reply) -> Result<Self> {
        let envelope: Envelope<'_> = serde_json::from_slice(&reply.body).map_err(|error| {
            let start = reply.body.get(..120).unwrap_or(&reply.body);
            let start = String::from_utf8_lossy(start);
            Error::Protocol(format!(
                "HTTP {}, {error}, in {start:?}",
                reply.status.as_u16()
            ))
        })?;
        let metadata = match envelope.metadata {
            Some(metadata) => reply.body.slice_ref(metadata.get().as_bytes()),
            None => Bytes::from_static(b"null"),
        };
        Ok(match envelope.kind {
            Kind::Sync => Verdict::Sync(metadata),
            Kind::Async => Verdict::Async(metadata),
            Kind::Error => Verdict::No {
                code: match envelope.error_code {
                    0 => reply.status.as_u16(),
                    code => code,
                },
                text: envelope.error,
            },
        })
    }

    /// The metadata of a call that is done when it answers.
    pub(crate) fn done<T: DeserializeOwned>(self) -> Result<T> {
        match self {
            Verdict::Sync(metadata) => decode(&metadata),
            Verdict::Async(_) => Err(Error::Protocol("an operation came unasked".to_owned())),
            Verdict::No { code, text } => Err(Error::refused(code, text)),
        }
    }

    /// The operation of a call that is only accepted when it answers.
    pub(crate) fn accepted(self) -> Result<Operation> {
        match self {
            Verdict::Async(metadata) => decode(&metadata),
            Verdict::Sync(_) => Err(Error::Protocol("no operation came".to_owned())),
            Verdict::No { code, text } => Err(Error::refused(code, text)),
        }
    }
}

/// What the refusal of a handshake means: the envelope in its body where there is one.
pub(crate) fn refusal(status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => Error::refused(envelope.error_code, envelope.error),
        Err(_) => Error::refused(status, String::from_utf8_lossy(body).into_owned()),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(metadata: &[u8]) -> Result<T> {
    serde_json::from_slice(metadata)
        .map_err(|error| Error::Protocol(format!("metadata of another shape: {error}")))
}
