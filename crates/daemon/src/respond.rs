//! From a fact that went wrong to what the caller reads: the only place where that is decided.

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use containarium_contract::{Face, Fingerprint, Hint, ImageRef, Problem, Reason, Username};
use containarium_core::{Error, images::ImageError};

/// A problem as an HTTP answer.
pub(crate) fn answer(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::from(problem.to_body()));
    *response.status_mut() =
        StatusCode::from_u16(problem.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = problem.reason.and_then(Reason::retry_after) {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if problem.code == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A handler that always gives the same.
pub(crate) fn fixed(
    kind: &'static str,
    text: String,
) -> ([(header::HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, kind)], Bytes::from(text))
}

/// An answer that is no JSON of an endpoint.
pub(crate) fn text_of(kind: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The problem that an error is to whoever speaks through `face`.
pub(crate) fn problem(error: &Error, face: Face, request: &str) -> Problem {
    let (reason, hint) = meaning(error);
    let mut problem = Problem::new(reason, sentence(error));
    problem.hint = hint.map(|hint| hint.render(face));
    if problem.code >= 500 {
        problem.request_id = Some(request.to_owned());
    }
    problem
}

/// What is told of a fault of our own.
const OURS: &str =
    "something went wrong on the server; its log has the cause under this request id";

/// Our own faults are told in a fixed sentence; the log has the chain.
fn sentence(error: &Error) -> String {
    match error {
        Error::Engine(_) | Error::Store(_) => OURS.into(),
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
        | Error::ForeignOwner
        | Error::LastKey { .. }
        | Error::TooManyKeys { .. }
        | Error::KeysNotRead(_)
        | Error::KeysInTheWay { .. }
        | Error::NameTaken(_)
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
        | Error::EngineAway(_)
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
        Error::NoContainer(_) => (Reason::NotFound, Some(Hint::List)),
        Error::Forbidden | Error::ForeignOwner => (Reason::Forbidden, Some(Hint::MintToken)),
        Error::NameTaken(username) => (Reason::AlreadyExists, Some(Hint::Get(username.clone()))),
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
        Error::Timeout(_) => (
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
        Error::EngineAway(_) => (Reason::EngineUnavailable, Some(Hint::CheckEngine)),
        Error::StillRunning { username, .. } => (
            Reason::DeadlineExceeded,
            Some(Hint::StopForce(username.clone())),
        ),
        Error::Step { .. } | Error::Engine(_) | Error::Store(_) => (Reason::Internal, None),
    }
}
