//! Serving an endpoint: its request is read from path, query and body, its answer written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    handler::Handler,
    http::{HeaderValue, Response, StatusCode, header},
    routing::{MethodFilter, MethodRouter, on},
};
use containarium_contract::{
    Endpoint, GetOperation, Problem, Reason, Spec, Stream, accept, quotable, read_text,
};
use containarium_core::{
    Asked, Begun, Containarium, Error, Fault, Principal, Telling, Tunnel, chain, may_ever, refusal,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::{
    authenticate::Caller,
    change,
    etag::{self, Known},
    event_stream,
    respond::answer,
    tunnel::{Tunnels, Upgrade},
};

/// The longest body that is read, bytes.
const LONGEST_BODY: usize = 1 << 20;
/// How long it may take to come: whoever dribbles holds a connection that others wait for.
const SLOWEST_BODY: Duration = Duration::from_secs(30);

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
        F: Fn(Containarium, Caller, E) -> Fut + Clone + Send + Sync + 'static,
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
                let known = spec.is_tagged().then(|| Known::of(request.headers()));
                let request = match read::<E>(&spec, &caller, path, query, request).await {
                    Ok(request) => request,
                    Err(refused) => return refused,
                };
                match handler(service, caller.clone(), request).await {
                    Ok(done) => success(&spec, known.as_ref(), &done),
                    Err(error) => failure(&spec, &caller, &error),
                }
            }
        };
        self.routed(E::PATH, MethodFilter::try_from(E::METHOD).ok(), route)
    }

    /// Serves the change `E`, which `handler` begins. Its caller waits for its end, or asks not to.
    pub(crate) fn on_change<E, F, Fut>(mut self, handler: F) -> Self
    where
        E: Endpoint,
        F: Fn(Containarium, Asked, E) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Begun<E>, Error>> + Send + 'static,
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
                let preferred = change::prefers_async(request.headers());
                let key = match change::key(request.headers()) {
                    Ok(key) => key,
                    Err(problem) => return answer(&problem),
                };
                let request = match read::<E>(&spec, &caller, path, query, request).await {
                    Ok(request) => request,
                    Err(refused) => return refused,
                };
                let at_once = preferred || request.responds_async();
                let begun =
                    match handler(service.clone(), change::asked(&caller, key), request).await {
                        Ok(begun) => begun,
                        Err(error) => return failure(&spec, &caller, &error),
                    };
                let id = begun.id.clone();
                let response = if at_once {
                    let ask = GetOperation { id: id.clone() };
                    match service
                        .get_operation(&caller.principal, caller.face, ask)
                        .await
                    {
                        Ok(operation) => change::accepted(&operation, preferred),
                        Err(error) => failure(&spec, &caller, &error),
                    }
                } else {
                    match service.done(begun).await {
                        Ok(done) => success(&spec, None, &done),
                        Err(error) => failure(&spec, &caller, &error),
                    }
                };
                change::named(response, &id)
            }
        };
        self.routed(E::PATH, MethodFilter::try_from(E::METHOD).ok(), route)
    }

    /// Serves the stream of events that `handler` begins.
    pub(crate) fn on_events<S, F, Fut>(mut self, handler: F) -> Self
    where
        S: Stream,
        F: Fn(Containarium, Caller, S, Option<u64>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Telling, Error>> + Send + 'static,
    {
        let spec = Arc::new(Spec::of_stream::<S>());
        self.specs.push((*spec).clone());
        let route = move |State(service): State<Containarium>,
                          Extension(caller): Extension<Caller>,
                          path: Result<RawPathParams, RawPathParamsRejection>,
                          Query(query): Query<Vec<(String, String)>>,
                          request: Request| {
            let (handler, spec) = (handler.clone(), Arc::clone(&spec));
            async move {
                let after = match event_stream::after(request.headers()) {
                    Ok(after) => after,
                    Err(problem) => return answer(&problem),
                };
                let request = match read::<S>(&spec, &caller, path, query, request).await {
                    Ok(request) => request,
                    Err(refused) => return refused,
                };
                match handler(service, caller.clone(), request, after).await {
                    Ok(telling) => event_stream::begin(telling, caller.expiry),
                    Err(error) => failure(&spec, &caller, &error),
                }
            }
        };
        self.routed(S::PATH, Some(MethodFilter::GET), route)
    }

    /// Serves the stream `S` with the tunnel that `handler` opens.
    pub(crate) fn on_tunnel<S, F, Fut>(mut self, handler: F) -> Self
    where
        S: Stream,
        F: Fn(Containarium, Principal, S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Tunnel, Error>> + Send + 'static,
    {
        let spec = Arc::new(Spec::of_stream::<S>());
        self.specs.push((*spec).clone());
        let route = move |State(service): State<Containarium>,
                          Extension(caller): Extension<Caller>,
                          Extension(tunnels): Extension<Tunnels>,
                          path: Result<RawPathParams, RawPathParamsRejection>,
                          Query(query): Query<Vec<(String, String)>>,
                          mut request: Request| {
            let (handler, spec) = (handler.clone(), Arc::clone(&spec));
            async move {
                let upgrade = Upgrade::take(&mut request);
                let request = match read::<S>(&spec, &caller, path, query, request).await {
                    Ok(request) => request,
                    Err(refused) => return refused,
                };
                let upgrade = match upgrade {
                    Ok(upgrade) => upgrade,
                    Err(problem) => return answer(&problem),
                };
                match handler(service, caller.principal.clone(), request).await {
                    Ok(tunnel) => tunnels.begin(upgrade, tunnel, caller.expiry, caller.request.0),
                    Err(error) => failure(&spec, &caller, &error),
                }
            }
        };
        self.routed(S::PATH, Some(MethodFilter::GET), route)
    }

    fn routed<H, T>(mut self, path: &'static str, filter: Option<MethodFilter>, handler: H) -> Self
    where
        H: Handler<T, Containarium>,
        T: 'static,
    {
        if let Some(filter) = filter {
            let routes = self.routes.remove(path).unwrap_or_default();
            self.routes.insert(path, routes.merge(on(filter, handler)));
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

/// The request, of whoever may ever make it; else the answer that refuses it.
async fn read<T: DeserializeOwned>(
    spec: &Spec,
    caller: &Caller,
    path: Result<RawPathParams, RawPathParamsRejection>,
    query: Vec<(String, String)>,
    request: Request,
) -> Result<T, Response<Body>> {
    if !may_ever(&caller.principal, spec.effect) {
        let refused = refusal(&caller.principal, spec.effect);
        return Err(failure(spec, caller, &refused));
    }
    let path = path.map_err(|_| answer(&malformed("the path is not UTF-8")))?;
    bind(spec, &path, query, request)
        .await
        .map_err(|problem| answer(&problem))
}

/// An error as this caller is told it; what is our fault is logged.
fn failure(spec: &Spec, caller: &Caller, error: &Error) -> Response<Body> {
    let request = &caller.request.0;
    let problem = Fault::from(error).problem(caller.face, request);
    // What an operation failed with was logged when it did.
    if problem.code >= 500 && !matches!(error, Error::Failed(_)) {
        tracing::error!(request, endpoint = spec.id, error = %chain(error), "failed");
    }
    answer(&problem)
}

/// What was done; unless the caller, who may have said what is `known`, has it.
fn success<T: serde::Serialize>(spec: &Spec, known: Option<&Known>, done: &T) -> Response<Body> {
    let Ok(body) = serde_json::to_vec(done) else {
        return answer(&Problem::new(
            Reason::Internal,
            "an answer that cannot be written",
        ));
    };
    let mut response = match known {
        Some(known) => etag::tagged(known, body),
        None => Response::new(Body::from(body)),
    };
    if response.status() == StatusCode::NOT_MODIFIED {
        return response;
    }
    *response.status_mut() = StatusCode::from_u16(spec.status).unwrap_or(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Builds the request from the path, then the query or the body.
async fn bind<T: DeserializeOwned>(
    spec: &Spec,
    path: &RawPathParams,
    query: Vec<(String, String)>,
    request: Request,
) -> Result<T, Problem> {
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

/// A body that came whole, and in time.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Problem> {
    let whole = timeout(SLOWEST_BODY, to_bytes(body, LONGEST_BODY)).await;
    let whole = whole.map_err(|_| {
        malformed(format!(
            "the body did not come within {} s",
            SLOWEST_BODY.as_secs()
        ))
    })?;
    whole.map_err(|_| {
        Problem::new(
            Reason::TooLarge,
            format!("a body is at most {LONGEST_BODY} bytes long"),
        )
    })
}

async fn body(request: Request) -> Result<Map<String, Value>, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = whole(request.into_body()).await?;
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
