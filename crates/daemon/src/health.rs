//! Whether the daemon lives and whether it can work, for whoever watches it; without a token.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
};
use containarium_core::Containarium;

/// The daemon answers: it is alive.
pub(crate) async fn health() -> Response<Body> {
    json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
}

/// The store and the engine answer: it can work.
pub(crate) async fn ready(State(service): State<Containarium>) -> Response<Body> {
    let (store, engine) = service.ready().await;
    let word = |good| if good { "ok" } else { "unreachable" };
    let status = if store && engine {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = format!(
        r#"{{"status":"{}","store":"{}","engine":"{}"}}"#,
        if store && engine {
            "ready"
        } else {
            "not ready"
        },
        word(store),
        word(engine)
    );
    json(status, body)
}

fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
