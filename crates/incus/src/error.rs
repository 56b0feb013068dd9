//! The one error of this crate, and the one table of Incus's texts.
//!
//! Incus answers nearly every failure with code 500 and a sentence, so a few sentences must be
//! matched; this file is the only place that does. It decides what an answer means, never what to do
//! about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not do what was asked.
///
/// A variant with a `String` carries Incus's own sentence. [`Error::outcome_unknown`] tells the
/// errors after which the change may nevertheless have happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something named by the request does not exist. From an operation this need not be the
    /// operation's own object: a create names its missing pool or network here.
    #[error("not found: {0}")]
    NotFound(String),
    /// The name (of an instance, project, pool, network, alias or image) is taken.
    #[error("already exists: {0}")]
    AlreadyExists(String),
    /// Another operation of the same object is under way.
    #[error("busy: {0}")]
    Busy(String),
    /// The `If-Match` tag is stale (412): read again, decide again.
    #[error("changed meanwhile: {0}")]
    Precondition(String),
    /// Some other object stands in the way, for example one with the same pinned address.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The object cannot be removed while others use it.
    #[error("in use: {0}")]
    InUse(String),
    /// Refused because the instance runs: it was to be started, deleted or published.
    #[error("the instance is running: {0}")]
    Running(String),
    /// Refused because the instance does not run: it was to be stopped, frozen or entered.
    #[error("the instance is not running: {0}")]
    Stopped(String),
    /// Refused because the instance is frozen already, or must be unfrozen first.
    #[error("the instance is frozen: {0}")]
    Frozen(String),
    /// The image a create named does not exist.
    #[error("no such image: {0}")]
    ImageNotProvided(String),
    /// The instance's volume or the pool is full.
    #[error("no space left: {0}")]
    NoSpace(String),
    /// Incus does not let this client do this (403).
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Incus refused at once, for a reason not listed above.
    #[error("refused ({code}): {text}")]
    Refused {
        /// `error_code` of the envelope, much like an HTTP status.
        code: u16,
        /// Incus's sentence.
        text: String,
    },
    /// An accepted operation ended in failure, for a reason not listed above.
    #[error("operation failed: {0}")]
    OperationFailed(String),
    /// The operation's record is gone, so its outcome cannot be asked: look at its object.
    #[error("the record of operation {0} is gone")]
    OperationVanished(String),
    /// A deadline of ours passed. The change may still happen.
    #[error("no answer within {after:?}: {what}")]
    Timeout {
        /// The call, as `METHOD path`, or what was waited for.
        what: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// No connection was made, so nothing was asked and nothing has happened.
    #[error("cannot reach Incus at {engine}")]
    Unreachable {
        /// The socket or URL dialled.
        engine: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What came back is no answer of Incus: cut off, too long, or of another shape.
    #[error("unintelligible answer: {0}")]
    Protocol(String),
    /// A name that must not be put in a URL (empty, `.`, `..`); nothing was sent.
    #[error("not a usable name: {0:?}")]
    InvalidName(String),
    /// A file of ours, to be sent, cannot be read; nothing was sent.
    #[error("cannot read {}", path.display())]
    LocalFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the request may have taken effect although this came back. Read the state and decide.
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self,
            Error::Timeout { .. } | Error::Protocol(_) | Error::OperationVanished(_)
        )
    }

    /// The directory that keeps an instance from being deleted, on a pool of btrfs: it lies where the volume
    /// should be, and no request removes it. A start makes it of an instance that incusd was killed in the
    /// create of. Once it is removed on the host, with `rmdir`, the delete works.
    pub fn directory_in_the_way(&self) -> Option<&Path> {
        let Error::OperationFailed(text) = self else {
            return None;
        };
        let (_, path) = text.split_once("Failed deleting subvolume \"")?;
        let (path, rest) = path.split_once('"')?;
        rest.contains("Not a Btrfs subvolume")
            .then(|| Path::new(path))
    }

    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound(_))
    }

    /// Whether it is an instance's own quota that leaves no space, not the pool.
    pub fn is_quota(&self) -> bool {
        matches!(self, Error::NoSpace(text) if text.to_lowercase().contains(QUOTA))
    }

    /// What a refusal that came at once means.
    pub(crate) fn refused(code: u16, text: String) -> Self {
        match meaning(code, &text) {
            Some(make) => make(text),
            None => Error::Refused { code, text },
        }
    }

    /// What the failure of an accepted operation means. `code` is 0 where only the text is known.
    pub(crate) fn operation_failed(code: u16, text: String) -> Self {
        match meaning(code, &text) {
            Some(make) => make(text),
            None => Error::OperationFailed(text),
        }
    }
}

type Make = fn(String) -> Error;

const QUOTA: &str = "disk quota exceeded";

/// Parts of Incus's sentences, in lower case, and what they mean; the first that fits wins.
const TEXTS: &[(&str, Make)] = &[
    (
        "image not provided for instance creation",
        Error::ImageNotProvided,
    ),
    ("unique constraint failed", Error::AlreadyExists),
    ("instance is busy running", Error::Busy),
    // A NIC's pinned address or DNS name; before "already …" of the rows below.
    ("already defined on another nic", Error::Conflict),
    ("already used", Error::Conflict),
    ("already exists", Error::AlreadyExists),
    ("already in use", Error::AlreadyExists),
    ("already running", Error::Running),
    ("instance is running", Error::Running),
    ("cannot export a running instance", Error::Running),
    ("already stopped", Error::Stopped),
    // "The instance …" or, of the same thing, "The container …".
    ("isn't running", Error::Stopped),
    ("instance is not running", Error::Stopped),
    ("already frozen", Error::Frozen),
    ("instance is frozen", Error::Frozen),
    ("currently in use", Error::InUse),
    ("only empty projects can be removed", Error::InUse),
    // Of an image server, with code 500.
    ("requested image couldn't be found", Error::NotFound),
    // With code 500 where its space is asked.
    ("storage pool not found", Error::NotFound),
    (QUOTA, Error::NoSpace),
    ("no space left on device", Error::NoSpace),
];

/// The texts go first: Incus's codes say less, and a late 404 may come with any of them.
fn meaning(code: u16, text: &str) -> Option<Make> {
    let lower = text.to_lowercase();
    if let Some((_, make)) = TEXTS.iter().find(|(part, _)| lower.contains(part)) {
        return Some(*make);
    }
    match code {
        403 => Some(Error::Forbidden),
        404 => Some(Error::NotFound),
        409 => Some(Error::Conflict),
        412 => Some(Error::Precondition),
        _ => None,
    }
}

/// An error with all its causes, in one line: many leave the one that matters to their source.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each sentence as incusd 6.0.4 says it, with its code, and the variant it must become.
    #[test]
    fn every_known_sentence_has_its_meaning() {
        let cases: &[(u16, &str, &str)] = &[
            (
                500,
                "Image not provided for instance creation",
                "ImageNotProvided",
            ),
            (
                500,
                "Failed creating instance record: UNIQUE constraint failed: instances.project_id, instances.name",
                "AlreadyExists",
            ),
            (
                500,
                r#"Instance is busy running a "create" operation"#,
                "Busy",
            ),
            (
                409,
                r#"Failed to start device "eth0": IP address "10.0.0.1" already defined on another NIC"#,
                "Conflict",
            ),
            (500, r#"Instance DNS name "a1" already used"#, "Conflict"),
            (409, "Alias already exists", "AlreadyExists"),
            (500, "The instance is already running", "Running"),
            (400, "Instance is running", "Running"),
            (
                500,
                "Cannot export a running instance as an image",
                "Running",
            ),
            (400, "The instance is already stopped", "Stopped"),
            (500, "The instance isn't running", "Stopped"),
            (400, "Instance is not running", "Stopped"),
            (500, "The container isn't running", "Stopped"),
            (500, "The container is already frozen", "Frozen"),
            (500, "Only empty projects can be removed.", "InUse"),
            (500, "Storage pool not found", "NotFound"),
            (400, "The storage pool is currently in use", "InUse"),
            (
                500,
                "Failed to write backup.yaml: disk quota exceeded",
                "NoSpace",
            ),
            (404, "Storage pool not found", "NotFound"),
            (412, "ETag doesn't match: 1 vs 2", "Precondition"),
            (403, "Forbidden", "Forbidden"),
            (
                500,
                "Failed getting remote image info: Failed getting image: The requested image \
                 couldn't be found",
                "NotFound",
            ),
            (500, "Something else", "OperationFailed"),
        ];
        for (code, text, variant) in cases {
            let error = Error::operation_failed(*code, (*text).to_owned());
            let debug = format!("{error:?}");
            assert!(debug.starts_with(variant), "{code} {text:?} became {debug}");
        }
    }

    #[test]
    fn a_directory_in_the_way_is_named() {
        let text = "Error deleting storage volume: Failed deleting subvolume \
            \"/i/storage-pools/p/containers/x_a1\": Failed to run: btrfs subvolume delete \
            /i/storage-pools/p/containers/x_a1: exit status 1 (ERROR: Not a Btrfs subvolume: Invalid \
            argument)";
        let error = Error::operation_failed(500, text.to_owned());
        let path = Path::new("/i/storage-pools/p/containers/x_a1");
        assert_eq!(error.directory_in_the_way(), Some(path));
        let other = text.replace("Not a Btrfs subvolume", "Input/output error");
        let error = Error::operation_failed(500, other);
        assert_eq!(error.directory_in_the_way(), None);
    }

    #[test]
    fn a_full_quota_is_told_from_a_full_pool() {
        let full = |text: &str| Error::operation_failed(500, text.to_owned());
        assert!(full("Failed to write backup.yaml: disk quota exceeded").is_quota());
        assert!(!full("write backup.yaml: no space left on device").is_quota());
    }

    #[test]
    fn an_unknown_refusal_keeps_its_code_and_sentence() {
        let error = Error::refused(500, "Invalid config".to_owned());
        assert_eq!(error.to_string(), "refused (500): Invalid config");
    }
}
