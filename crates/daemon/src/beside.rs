//! A face that is served beside the API, at a path of its own: for whoever has a good token, and no
//! longer than the token. What it means is its own; it asks the API like everybody.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    BoxError, Extension, Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{Response, header},
    middleware,
    routing::any,
};
use containarium_contract::Subject;
use futures_util::StreamExt as _;
use secrecy::SecretSlice;
use tokio::time::sleep;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    api::whole,
    authenticate::{Caller, Secret, authenticate, trace},
    respond::{answer, panicked},
};

/// Routes that answer at `path` what `face` does for whoever asks.
pub(crate) fn beside<F, Fut, B>(path: &str, secret: SecretSlice<u8>, face: F) -> Router
where
    F: Fn(Subject, Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let ask = move |Extension(caller): Extension<Caller>, request: Request| {
        let face = face.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = match whole(body).await {
                Ok(body) => Body::from(body),
                Err(problem) => return answer(&problem),
            };
            let request = Request::from_parts(head, body);
            let response = face(caller.principal.subject, request).await;
            until(caller.expiry, response.map(Body::new))
        }
    };
    let secret = Secret(std::sync::Arc::new(secret));
    Router::new()
        .route(path, any(ask))
        .route_layer(middleware::from_fn_with_state(secret, authenticate))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(trace))
}

/// The same, where it is a stream no longer than `expiry` (Unix seconds): nobody is told anything
/// whose token is over.
fn until(expiry: u64, response: Response<Body>) -> Response<Body> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = expiry.saturating_sub(now.unwrap_or_default().as_secs());
    response.map(|body| {
        let end = sleep(Duration::from_secs(left));
        Body::from_stream(body.into_data_stream().take_until(Box::pin(end)))
    })
}
