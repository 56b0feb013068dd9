//! The tools over Streamable HTTP, for whoever mounts them beside a daemon's API. Whether a token is
//! good is the daemon's to say, before anything comes here and again at every call.
//!
//! A browser that was led here by a name that points to this machine is sent away by `Host` and
//! `Origin`. A session of the older protocol belongs to the token that opened it: its id is sealed
//! with the token's owner, so that nobody listens in another's.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use containarium_client::Client;
use containarium_contract::Restrictions;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use rmcp::{
    ServerHandler,
    model::SealOptions,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{Tools, seal::Seal};

/// Larger messages are refused; the largest of ours is a create with many keys.
const LONGEST_MESSAGE: usize = 1 << 20;
/// A stream says at least this often that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// An answer's body, whole or a stream.
pub(crate) type Body = BoxBody<bytes::Bytes, Infallible>;

/// The tools as an HTTP service: each request acts with the token that it brings itself.
#[derive(Clone)]
pub struct Endpoint<S: ServerHandler> {
    service: StreamableHttpService<S, LocalSessionManager>,
    seal: Arc<Seal>,
    hosts: Arc<[String]>,
}

impl Endpoint<Tools> {
    /// The tools of the daemon that `client` calls, until `stop`. It is called by one of `hosts` or of the
    /// machine's own names and addresses.
    pub fn of_tools(client: Client, hosts: &[String], stop: CancellationToken) -> Self {
        let tools = Tools::new(client);
        Self::new(move || tools.clone(), hosts, stop)
    }
}

impl<S: ServerHandler + Send + 'static> Endpoint<S> {
    /// What `handler` makes, one for each session or request, until `stop`.
    pub fn new(
        handler: impl Fn() -> S + Send + Sync + 'static,
        hosts: &[String],
        stop: CancellationToken,
    ) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_sse_keep_alive(Some(SIGN_OF_LIFE))
            .with_cancellation_token(stop)
            .with_max_request_body_bytes(LONGEST_MESSAGE);
        let mut origins: Vec<String> = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .flat_map(|host| [format!("http://{host}:*"), format!("https://{host}:*")])
            .collect();
        for host in hosts {
            origins.extend([format!("https://{host}:*"), format!("http://{host}:*")]);
        }
        // Ours is kinder: no name leads to an address that is written out.
        let config = config.with_allowed_origins(origins).disable_allowed_hosts();
        Self {
            service: StreamableHttpService::new(
                move || Ok(handler()),
                Arc::new(LocalSessionManager::default()),
                config,
            ),
            seal: Arc::default(),
            hosts: hosts.into(),
        }
    }

    /// Answers one request of `owner`, who is whoever its token speaks for.
    pub async fn answer<B>(&self, owner: &str, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: std::fmt::Display,
    {
        if let Err(why) = self.is_meant(request.headers()) {
            return refused(why);
        }
        if is_own_page(request.headers()) {
            request.headers_mut().remove(ORIGIN);
        }
        if let Some(sealed) = request.headers().get(SESSION) {
            let opened = sealed.to_str().ok().and_then(|sealed| {
                let id = self.seal.codec().open_with(sealed, owner.as_bytes()).ok()?;
                HeaderValue::from_bytes(&id).ok()
            });
            match opened {
                Some(id) => drop(request.headers_mut().insert(SESSION, id)),
                // As of one that is over: clients then begin anew.
                None => return unknown_session(),
            }
        }
        let mut response = self.service.handle(request).await;
        if let Some(id) = response.headers().get(SESSION) {
            let options = SealOptions::new().associated_data(owner.as_bytes());
            let sealed = self.seal.codec().seal_with(id.as_bytes(), &options);
            match HeaderValue::from_str(&sealed) {
                Ok(sealed) => drop(response.headers_mut().insert(SESSION, sealed)),
                Err(_) => drop(response.headers_mut().remove(SESSION)),
            }
        }
        response
    }

    /// Whether this server is called by a name of its own: a browser that a foreign name led here
    /// says that name.
    fn is_meant(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let given = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = given.and_then(|host| host.parse::<Authority>().ok());
        let Some(host) = host.as_ref().map(Authority::host) else {
            return Err("a request says in `Host` whom it is for");
        };
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_known = |known: &String| known.eq_ignore_ascii_case(host);
        if is_address || host.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(is_known) {
            return Ok(());
        }
        Err(
            "this server is not known by the name in `Host`; start its daemon with --allowed-host NAME",
        )
    }
}

/// Whether a page asks the very server that it is from, as one does that came from an address.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text(ORIGIN).and_then(|origin| origin.split_once("://"));
    from.zip(text(HOST))
        .is_some_and(|((_, from), to)| from.eq_ignore_ascii_case(to))
}

/// The token that a request over HTTP brought.
pub(crate) fn token(parts: &Parts) -> Option<&str> {
    let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the request gives up of what its token may do.
pub(crate) fn restrictions(parts: &Parts) -> impl Iterator<Item = Restrictions> {
    let said = parts.headers.get_all(Restrictions::HEADER).iter();
    // One that cannot be read was refused before it came here.
    said.filter_map(|said| said.to_str().ok()?.parse().ok())
}

fn unknown_session() -> Response<Body> {
    let sentence = "Session not found: begin anew with initialize";
    error(StatusCode::NOT_FOUND, -32001, sentence)
}

fn refused(sentence: &str) -> Response<Body> {
    error(StatusCode::FORBIDDEN, -32600, sentence)
}

fn error(status: StatusCode, code: i32, message: &str) -> Response<Body> {
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
    let mut response = Response::new(Full::from(error.to_string()).boxed());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
