//! How a change is asked for and answered beside its endpoint: by a key that names the request, and
//! at once or at its end.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use containarium_contract::{IdempotencyKey, OperationAnswer, OperationId, Problem, Reason};
use containarium_core::Asked;

use crate::{authenticate::Caller, respond::answer};

/// The header that asks not to wait (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The header that says that it was heeded.
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// What it asks.
const RESPOND_ASYNC: &str = "respond-async";
/// The header of a change's answer that names its operation.
const OPERATION: HeaderName = HeaderName::from_static("containarium-operation");

/// The request's own name, where it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let bad = |why: &str| Problem::new(Reason::InvalidValue, why.to_owned());
    let mut given = headers.get_all(IdempotencyKey::HEADER).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(bad("`Idempotency-Key` is given twice"));
    }
    let key = first.to_str().ok().and_then(|text| text.parse().ok());
    let key: IdempotencyKey =
        key.ok_or_else(|| bad("an Idempotency-Key is 1 to 255 visible ASCII characters"))?;
    Ok(Some(key))
}

/// Whether the caller would rather not wait.
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    let all = headers.get_all(PREFER).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split([',', ';']))
        .any(|one| one.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
}

/// Who asks, and why, as it is written down.
pub(crate) fn asked(caller: &Caller, key: Option<IdempotencyKey>) -> Asked {
    Asked {
        who: caller.principal.clone(),
        key,
        cause: format!("a request by {}", caller.face.as_str()),
    }
}

/// It is written down, and will be done.
pub(crate) fn accepted(operation: &OperationAnswer, preferred: bool) -> Response<Body> {
    let Ok(body) = serde_json::to_vec(operation) else {
        return answer(&Problem::new(
            Reason::Internal,
            "an answer that cannot be written",
        ));
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let at = format!("/v1/operations/{}", operation.operation.id);
    if let Ok(at) = HeaderValue::from_str(&at) {
        headers.insert(header::LOCATION, at);
    }
    if preferred {
        headers.insert(APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
    }
    response
}

/// The answer with the name of the operation that it is about.
pub(crate) fn named(mut response: Response<Body>, id: &OperationId) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(OPERATION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(PREFER, HeaderValue::from_static(value));
            prefers_async(&headers)
        };
        assert!(with("respond-async") && with("wait=10, Respond-Async") && with("respond-async;a"));
        assert!(!with("return=minimal") && !prefers_async(&HeaderMap::new()));
    }

    #[test]
    fn a_key_is_given_once_and_visible() {
        let mut headers = HeaderMap::new();
        assert_eq!(key(&headers).unwrap(), None);
        headers.append(IdempotencyKey::HEADER, HeaderValue::from_static("k1"));
        assert_eq!(key(&headers).unwrap().unwrap().as_str(), "k1");
        headers.append(IdempotencyKey::HEADER, HeaderValue::from_static("k2"));
        assert_eq!(key(&headers).unwrap_err().code, 422);
        headers.insert(IdempotencyKey::HEADER, HeaderValue::from_static("a b"));
        assert_eq!(key(&headers).unwrap_err().code, 422);
    }
}
