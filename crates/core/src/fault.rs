//! What an error means to a caller: the only place where that is decided. A fault can be written
//! down and told later, to whoever asks, in their own form.

use containarium_contract::{Face, Fingerprint, Hint, ImageRef, Problem, Reason, Username};
use serde::{Deserialize, Serialize};

use crate::{Error, StoreError, images::ImageError};

/// An error as its caller is told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub reason: Reason,
    /// What is so.
    pub error: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
}

impl Fault {
    /// The same for whoever speaks through `face`. `trace` finds the cause in the log; it is told
    /// only where the fault is ours.
    pub fn problem(&self, face: Face, trace: &str) -> Problem {
        let mut problem = Problem::new(self.reason, self.error.clone());
        problem.hint = self.hint.as_ref().map(|hint| hint.render(face));
        if problem.code >= 500 {
            problem.request_id = Some(trace.to_owned());
        }
        problem
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        if let Error::Failed(fault) = error {
            return fault.clone();
        }
        let (reason, hint) = meaning(error);
        Self {
            reason,
            error: sentence(error),
            hint,
        }
    }
}

/// What is told of a fault of our own.
const OURS: &str =
    "something went wrong on the server; its log has the cause under this request id";

/// Our own faults are told in a fixed sentence; the log has the chain.
fn sentence(error: &Error) -> String {
    match error {
        Error::Store(StoreError::KeyReused(_) | StoreError::Full) => error.to_string(),
        Error::Engine(_) | Error::Store(_) => OURS.into(),
        Error::Failed(fault) => fault.error.clone(),
        Error::Shared(error) => sentence(error),
        Error::Image {
            cause, available, ..
        } => image_sentence(cause, available),
        Error::NoSuchKey { there, .. } if there.is_empty() => {
            format!("{error}, and no other may")
        }
        Error::NoSuchKey { there, .. } => {
            let names: Vec<&str> = there.iter().map(Fingerprint::as_str).collect();
            format!("{error}; those that may are: {}", names.join(", "))
        }
        Error::NoContainer(_)
        | Error::Forbidden
        | Error::ReadOnly
        | Error::NotNamed { .. }
        | Error::OtherThanNames(_)
        | Error::TooMany { .. }
        | Error::ForeignOwner
        | Error::LastKey { .. }
        | Error::TooManyKeys { .. }
        | Error::KeysNotRead(_)
        | Error::KeysInTheWay { .. }
        | Error::NameTaken(_)
        | Error::BeingMade { .. }
        | Error::Replaced(_)
        | Error::Irreversible(_)
        | Error::PurgeKept
        | Error::NotStopped(_)
        | Error::Busy { .. }
        | Error::TooSmall { .. }
        | Error::Timeout(_)
        | Error::NotRunning(_)
        | Error::NoListener { .. }
        | Error::NoDial { .. }
        | Error::TunnelsTaken(_)
        | Error::Exhausted
        | Error::NoSpace(_)
        | Error::DiskFull { .. }
        | Error::EngineAway(_)
        | Error::EngineSilent
        | Error::Stopping
        | Error::Suspended(_)
        | Error::Unended(_)
        | Error::Cancelled
        | Error::AskedToStop(_)
        | Error::GivenUp(_)
        | Error::Overdue
        | Error::NoOperation(_)
        | Error::OverAlready { .. }
        | Error::NothingDeleted(_)
        | Error::NotKept { .. }
        | Error::Wait(_)
        | Error::NameTakenAgain { .. }
        | Error::NotUnclaimed(_)
        | Error::AdoptWhat
        | Error::Lost(_)
        | Error::StillRunning { .. }
        | Error::NoImage(_)
        | Error::DefaultImage(_)
        | Error::ImagesBusy(_)
        | Error::Step { .. } => error.to_string(),
    }
}

/// An image that is not to be had is told with those that are; another is never taken unasked.
fn image_sentence(cause: &ImageError, available: &[ImageRef]) -> String {
    let instead = match cause {
        ImageError::Engine { .. } | ImageError::Host { .. } => return OURS.into(),
        ImageError::NotAllowed { .. } | ImageError::NoSpace(_) | ImageError::EngineAway(_) => {
            return cause.to_string();
        }
        ImageError::Unknown(_)
        | ImageError::Unreachable { .. }
        | ImageError::Unfit { .. }
        | ImageError::Stopping(_) => "; ",
        // Its end is what a script said.
        ImageError::Script { .. } => "\n",
    };
    if available.is_empty() {
        return format!("{cause}{instead}no other is prepared");
    }
    let names: Vec<&str> = available.iter().map(|image| image.as_str()).collect();
    format!("{cause}{instead}available are: {}", names.join(", "))
}

fn image_meaning(
    username: Option<&Username>,
    cause: &ImageError,
    available: &[ImageRef],
) -> (Reason, Option<Hint>) {
    let instead = match (username, available.first()) {
        (Some(username), Some(image)) => Hint::CreateFrom(username.clone(), image.clone()),
        (_, None) => Hint::Init,
        (None, Some(_)) => Hint::ListImages,
    };
    match cause {
        ImageError::NotAllowed { .. } => (Reason::InvalidValue, Some(Hint::ListImages)),
        ImageError::Unfit { .. } => (Reason::InvalidValue, Some(instead)),
        ImageError::Unknown(_)
        | ImageError::Unreachable { .. }
        | ImageError::Script { .. }
        | ImageError::Stopping(_) => (Reason::ImageUnavailable, Some(instead)),
        ImageError::NoSpace(_) => (Reason::InsufficientStorage, Some(Hint::List)),
        ImageError::EngineAway(_) => (Reason::EngineUnavailable, Some(Hint::CheckEngine)),
        ImageError::Engine { .. } | ImageError::Host { .. } => (Reason::Internal, None),
    }
}

fn meaning(error: &Error) -> (Reason, Option<Hint>) {
    match error {
        Error::Failed(fault) => (fault.reason, fault.hint.clone()),
        Error::Shared(error) => meaning(error),
        Error::EngineSilent => (Reason::EngineUnavailable, Some(Hint::CheckEngine)),
        Error::Stopping => (Reason::EngineUnavailable, None),
        Error::Suspended(id) | Error::Unended(id) => (
            Reason::EngineUnavailable,
            Some(Hint::GetOperation(id.clone())),
        ),
        Error::Cancelled => (Reason::Cancelled, None),
        Error::AskedToStop(username) => (Reason::Cancelled, Some(Hint::Get(username.clone()))),
        Error::Overdue | Error::GivenUp(_) => (Reason::DeadlineExceeded, None),
        Error::NoOperation(_) => (Reason::NotFound, Some(Hint::ListOperations)),
        Error::OverAlready { id, .. } => (
            Reason::AlreadyFinished,
            Some(Hint::GetOperation(id.clone())),
        ),
        Error::NothingDeleted(_) | Error::NotKept { .. } => {
            (Reason::NotFound, Some(Hint::ListDeleted))
        }
        Error::NameTakenAgain { username, .. } => (
            Reason::AlreadyExists,
            Some(Hint::DeleteForce(username.clone())),
        ),
        Error::AdoptWhat => (Reason::InvalidValue, Some(Hint::ListUnclaimed)),
        Error::NotUnclaimed(_) => (Reason::NotFound, Some(Hint::ListUnclaimed)),
        Error::Lost(username) => (Reason::NotFound, Some(Hint::DeleteForce(username.clone()))),
        Error::Store(StoreError::KeyReused(_)) => (Reason::InvalidValue, None),
        Error::Store(StoreError::Full) => (Reason::InsufficientStorage, None),
        Error::NoContainer(_) => (Reason::NotFound, Some(Hint::List)),
        Error::Forbidden | Error::ForeignOwner | Error::ReadOnly | Error::OtherThanNames(_) => {
            (Reason::Forbidden, Some(Hint::MintToken))
        }
        Error::NotNamed { only } => {
            let example = only.only.first().map(|pattern| Hint::Write {
                field: "username".into(),
                example: pattern.example(),
            });
            (Reason::Forbidden, example)
        }
        Error::TooMany { .. } => (Reason::QuotaExceeded, Some(Hint::List)),
        Error::NameTaken(username) => (Reason::AlreadyExists, Some(Hint::Get(username.clone()))),
        Error::BeingMade { operation, .. } => (
            Reason::AlreadyExists,
            Some(Hint::GetOperation(operation.clone())),
        ),
        Error::Replaced(username) => (Reason::Replaced, Some(Hint::Get(username.clone()))),
        Error::Irreversible(username) => (
            Reason::Irreversible,
            Some(Hint::DeleteForGood(username.clone())),
        ),
        Error::PurgeKept => (Reason::InvalidValue, None),
        Error::NotStopped(username) => (
            Reason::NotStopped,
            Some(Hint::DeleteForce(username.clone())),
        ),
        Error::Busy { username, .. } => (Reason::Busy, Some(Hint::Get(username.clone()))),
        // A conflict with what the container is doing now; nothing else in the closed set says that.
        Error::NotRunning(username) => (Reason::Busy, Some(Hint::Start(username.clone()))),
        Error::NoListener { port, .. } => (Reason::Busy, Some(Hint::Listen(*port))),
        Error::NoDial { username, .. } => {
            (Reason::DeadlineExceeded, Some(Hint::Get(username.clone())))
        }
        Error::TunnelsTaken(_) => (Reason::RateLimited, Some(Hint::CloseTunnels)),
        Error::Image {
            username,
            cause,
            available,
        } => image_meaning(username.as_ref(), cause, available),
        Error::NoImage(_) => (Reason::NotFound, Some(Hint::ListImages)),
        Error::DefaultImage(_) => (Reason::Busy, Some(Hint::OtherDefault)),
        Error::ImagesBusy(_) => (Reason::Busy, Some(Hint::ListImages)),
        Error::TooSmall {
            field,
            least,
            username,
            ..
        } => {
            let hint = if *field == "resources.disk" {
                Hint::CreateWithDisk(username.clone(), least.clone())
            } else {
                Hint::Write {
                    field: (*field).to_owned(),
                    example: least.to_string(),
                }
            };
            (Reason::InvalidValue, Some(hint))
        }
        Error::Wait(_) | Error::Timeout(_) => (
            Reason::InvalidValue,
            Some(Hint::Write {
                field: "timeout".into(),
                example: "30".into(),
            }),
        ),
        Error::NoSuchKey { username, .. } => {
            (Reason::NotFound, Some(Hint::ListKeys(username.clone())))
        }
        Error::LastKey {
            username,
            fingerprint,
        } => (
            Reason::LastKey,
            Some(Hint::RemoveKeyForce(username.clone(), fingerprint.clone())),
        ),
        Error::TooManyKeys { username, .. } => {
            (Reason::InvalidValue, Some(Hint::ListKeys(username.clone())))
        }
        Error::KeysNotRead(username) => {
            (Reason::GuestChanged, Some(Hint::ReadKeys(username.clone())))
        }
        Error::KeysInTheWay { username, .. } => (
            Reason::GuestChanged,
            Some(Hint::ClearKeys(username.clone())),
        ),
        Error::Exhausted | Error::NoSpace(_) => (Reason::InsufficientStorage, Some(Hint::List)),
        Error::DiskFull { .. } => (Reason::InsufficientStorage, None),
        Error::EngineAway(_) => (Reason::EngineUnavailable, Some(Hint::CheckEngine)),
        Error::StillRunning { username, .. } => (
            Reason::DeadlineExceeded,
            Some(Hint::StopForce(username.clone())),
        ),
        Error::Step { .. } | Error::Engine(_) | Error::Store(_) => (Reason::Internal, None),
    }
}
