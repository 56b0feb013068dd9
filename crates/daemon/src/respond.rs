//! Answers: a problem, or something fixed. What an error means is the core's to say.

use std::any::Any;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use containarium_contract::{Problem, Reason};

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

/// A bug of ours; the panic itself is in the log.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    answer(&Problem::new(
        Reason::Internal,
        "something went wrong on the server; its log has the cause",
    ))
}
