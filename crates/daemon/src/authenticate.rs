//! Who asks, what the request gives up of that, and that every answer carries an id that finds it in the
//! log.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use containarium_contract::{Face, NotRestrictions, Problem, Reason, Restrictions, quotable};
use containarium_core::{Principal, token};
use secrecy::SecretSlice;
use ulid::Ulid;

use crate::respond::answer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The secret that tokens are signed with.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Arc<SecretSlice<u8>>);

/// What every handler knows about its caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// Until when its token is good, Unix seconds.
    pub(crate) expiry: u64,
    pub(crate) face: Face,
    pub(crate) request: RequestId,
}

/// Finds a request in the log.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request an id and logs how it ended. Never a header or a body: they hold secrets.
pub(crate) async fn trace(mut request: Request, next: Next) -> Response<Body> {
    let id = Ulid::generate().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = begun.elapsed().as_millis();
    tracing::info!(%method, path = path.escape_debug().to_string(), status, ms, request = id, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Lets a request with a good token through, and says nothing about why another is not.
pub(crate) async fn authenticate(
    State(secret): State<Secret>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map_or(String::new(), |id| id.0.clone());
    match principal(&secret, &request) {
        Ok((mut principal, expiry)) => {
            match restrictions(request.headers()) {
                Ok(further) => principal.restrictions.extend(further),
                Err(problem) => return answer(&problem),
            }
            let face = request
                .headers()
                .get(Face::HEADER)
                .and_then(|value| value.to_str().ok());
            let face = face.map_or(Face::Rest, Face::from_header);
            request.extensions_mut().insert(Caller {
                principal,
                expiry,
                face,
                request: RequestId(id),
            });
            next.run(request).await
        }
        Err(why) => {
            tracing::info!(request = id, why, "no good token");
            answer(&Problem::invalid_token())
        }
    }
}

/// What the request itself is not to do, beyond its token: each header says some of it.
fn restrictions(headers: &HeaderMap) -> Result<Vec<Restrictions>, Problem> {
    let name = Restrictions::HEADER;
    let bad = |why: String| {
        let sentence = format!("the header `{name}` is not understood: {why}");
        Problem::new(Reason::Malformed, quotable(&sentence))
    };
    let given = headers.get_all(name).into_iter();
    given
        .map(|value| {
            let text = value.to_str().map_err(|_| bad("it is not text".into()))?;
            text.parse()
                .map_err(|why: NotRestrictions| bad(why.to_string()))
        })
        .collect()
}

/// Who asks, and until when they may.
fn principal(secret: &Secret, request: &Request) -> Result<(Principal, u64), String> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or("no Authorization header")?;
    let text = header
        .to_str()
        .map_err(|_| "the Authorization header is not text")?;
    let (scheme, token) = text
        .split_once(' ')
        .ok_or("the Authorization header is not Bearer")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the Authorization header is not Bearer".into());
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = token::verify(&secret.0, token.trim(), now).map_err(|why| why.to_string())?;
    let principal = claims.principal().map_err(|why| why.to_string())?;
    Ok((principal, claims.exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[&[u8]]) -> Result<Vec<String>, Problem> {
        let mut headers = HeaderMap::new();
        for text in given {
            let value = HeaderValue::from_bytes(text).unwrap();
            headers.append(Restrictions::HEADER, value);
        }
        let read = restrictions(&headers)?;
        Ok(read.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_header_restricts() {
        assert_eq!(read(&[]), Ok(vec![]));
        let both = read(&[b"max=5; only=agent-", b"read-only"]);
        let said = ["only=agent-*; max=5", "read-only"].map(str::to_owned);
        assert_eq!(both, Ok(said.to_vec()));
    }

    #[test]
    fn a_header_that_is_not_understood_refuses_the_request() {
        for bad in [
            &b""[..],
            b"readonly",
            b"only=*",
            b"max=many",
            b"max=5;",
            b"\xff",
        ] {
            for given in [&[bad][..], &[b"read-only", bad]] {
                let refused = read(given).unwrap_err();
                assert_eq!(refused.reason, Some(Reason::Malformed), "{refused:?}");
                let named = "the header `containarium-restrict` is not understood: ";
                assert!(refused.error.starts_with(named), "{refused:?}");
            }
        }
    }
}
