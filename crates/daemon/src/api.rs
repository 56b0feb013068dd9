//! Serving an endpoint: its request is read from path, query and body, its answer written.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderValue, Response, StatusCode, header},
    routing::{MethodFilter, MethodRouter, on},
};
use containarium_contract::{Endpoint, Problem, Reason, Spec, accept, quotable, read_text};
use containarium_core::{Containarium, Error, Principal, may_ever};
use serde_json::{Map, Value};

use crate::{
    authenticate::Caller,
    respond::{answer, problem},
};

/// The longest body that is read, bytes.
const LONGEST_BODY: usize = 1 << 20;

/// Routes for endpoints, which remembers them.
pub(crate) struct Api {
    routes: BTreeMap<&'static str, MethodRouter<Containarium>>,
    specs: Vec<Spec>,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self {
            routes: BTreeMap::new(),
            specs: Vec::new(),
        }
    }

    /// Serves `E` with `handler`.
    pub(crate) fn on<E, F, Fut>(mut self, handler: F) -> Self
    where
        E: Endpoint,
        F: Fn(Containarium, Principal, E) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<E::Answer, Error>> + Send + 'static,
    {
        let spec = Arc::new(Spec::of::<E>());
        self.specs.push((*spec).clone());
        let route = move |State(service): State<Containarium>,
                          Extension(caller): Extension<Caller>,
                          path: Result<RawPathParams, RawPathParamsRejection>,
                          Query(query): Query<Vec<(String, String)>>,
                          request: Request| {
            let (handler, spec) = (handler.clone(), Arc::clone(&spec));
            async move {
                let Caller {
                    principal,
                    face,
                    request: id,
                } = caller;
                if !may_ever(&principal, E::EFFECT) {
                    return answer(&problem(&Error::Forbidden, face, &id.0));
                }
                let Ok(path) = path else {
                    return answer(&malformed("the path is not UTF-8"));
                };
                let request = match bind::<E>(&spec, &path, query, request).await {
                    Ok(request) => request,
                    Err(problem) => return answer(&problem),
                };
                match handler(service, principal, request).await {
                    Ok(done) => success(&spec, &done),
                    Err(error) => {
                        let problem = problem(&error, face, &id.0);
                        if problem.code >= 500 {
                            tracing::error!(request = id.0, endpoint = spec.id, error = %chain(&error), "failed");
                        }
                        answer(&problem)
                    }
                }
            }
        };
        if let Ok(filter) = MethodFilter::try_from(E::METHOD) {
            let routes = self.routes.remove(E::PATH).unwrap_or_default();
            self.routes.insert(E::PATH, routes.merge(on(filter, route)));
        }
        self
    }

    pub(crate) fn into_parts(self) -> (Router<Containarium>, Vec<Spec>) {
        let routes = self.routes.into_iter();
        let router = routes.fold(Router::new(), |router, (path, route)| {
            router.route(path, route)
        });
        (router, self.specs)
    }
}

fn success<T: serde::Serialize>(spec: &Spec, done: &T) -> Response<Body> {
    let Ok(body) = serde_json::to_vec(done) else {
        return answer(&Problem::new(
            Reason::Internal,
            "an answer that cannot be written",
        ));
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(spec.status).unwrap_or(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The error and all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Builds the request from the path, then the query or the body.
async fn bind<E: Endpoint>(
    spec: &Spec,
    path: &RawPathParams,
    query: Vec<(String, String)>,
    request: Request,
) -> Result<E, Problem> {
    let mut fields = Map::new();
    if spec.has_body() {
        if !query.is_empty() {
            return Err(malformed(
                "this request takes its fields in the body, not in the query",
            ));
        }
        fields = body(request).await?;
    } else {
        for (key, text) in query {
            let value = read_text(&spec.request, &key, &text);
            if fields.insert(key.clone(), value).is_some() {
                return Err(malformed(format!("`{key}` is given twice")));
            }
        }
    }
    for (key, text) in path {
        if fields
            .insert(key.to_owned(), Value::String(text.to_owned()))
            .is_some()
        {
            return Err(malformed(format!("`{key}` belongs in the path only")));
        }
    }
    accept(&spec.request, Value::Object(fields))
}

async fn body(request: Request) -> Result<Map<String, Value>, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes: Bytes = to_bytes(request.into_body(), LONGEST_BODY)
        .await
        .map_err(|_| {
            Problem::new(
                Reason::TooLarge,
                format!("a body is at most {LONGEST_BODY} bytes long"),
            )
        })?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let is_json = |kind: &HeaderValue| {
        let kind = kind.to_str().unwrap_or_default();
        kind.split(';')
            .next()
            .is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"))
    };
    if !kind.as_ref().is_some_and(is_json) {
        return Err(Problem::new(
            Reason::UnsupportedMedia,
            "a body is JSON, with `Content-Type: application/json`",
        ));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(malformed("the body must be a JSON object")),
        Err(e) => Err(malformed(format!("the body is not JSON: {e}"))),
    }
}

fn malformed(sentence: impl Into<String>) -> Problem {
    Problem::new(Reason::Malformed, quotable(&sentence.into()))
}
