//! The client: one method, for every endpoint. What to ask is the contract's, how to show it a face's,
//! and a change whose answer was lost is asked for again under its key.

use std::{
    convert::Infallible,
    error::Error as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use containarium_contract::{Effect, Endpoint, Face, HostEngine, IdempotencyKey, Restrictions};
use reqwest::{
    Body, Certificate, RequestBuilder,
    header::{self, HeaderMap},
    redirect,
};
use tokio::time::{Instant, sleep};
use tower_service::Service;
use ulid::Ulid;

use crate::{
    BaseUrl, CallError, NotABaseUrl, Token, TokenError,
    again::{Again, PAUSES},
    dial,
    projection::{Projection, Rest},
    reply::Reply,
    transport::Transport,
};

/// Whoever listens answers a dial well within this.
const CONNECT: Duration = Duration::from_secs(5);

/// Calls one daemon with one token in the name of one face. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) server: BaseUrl,
    pub(crate) token: Token,
    pub(crate) face: Face,
    pub(crate) transport: Transport,
    /// What it gives up of what its token may do, as it is sent.
    restrictions: Vec<String>,
    simulated: Arc<AtomicBool>,
    /// In place of the endpoint's own.
    patience: Option<Duration>,
    /// Before a change is asked for again, and again.
    pauses: &'static [Duration],
}

/// Whether an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Until the change is made.
    Wait,
    /// Until its operation has begun.
    RespondAsync,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    /// The server's URL is not one.
    #[error(transparent)]
    Url(#[from] NotABaseUrl),
    /// The file of certificates cannot be read.
    #[error("the file of certificates {} cannot be read: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// There are no certificates in it.
    #[error("the file of certificates {} holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
}

impl Client {
    /// The variable that names a PEM file of further certificate authorities.
    pub const CA_FILE_VARIABLE: &'static str = "CONTAINARIUM_CA_FILE";

    /// A client of the daemon at `base_url`; `https` trusts the system's authorities.
    ///
    /// # Errors
    ///
    /// `base_url` is not `http://…` or `https://…`.
    pub fn new(base_url: &str, token: Token, face: Face) -> Result<Self, NoClient> {
        Self::trusting(base_url, None, token, face)
    }

    /// Like [`Client::new`], trusting the authorities in the PEM file `ca_file` as well.
    ///
    /// # Errors
    ///
    /// As [`Client::new`], and `ca_file` is not readable or holds no certificate.
    pub fn trusting(
        base_url: &str,
        ca_file: Option<&Path>,
        token: Token,
        face: Face,
    ) -> Result<Self, NoClient> {
        let server: BaseUrl = base_url.parse()?;
        let transport = connecting(&server, ca_file, CONNECT)?;
        Ok(Self::over(transport, server, token, face))
    }

    /// A client of the daemon that runs in this process and answers as `service`.
    ///
    /// # Panics
    ///
    /// Never: nobody is dialled, so nothing of the system is needed.
    pub fn within<S, B>(service: S, token: Token, face: Face) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // A request has to name somebody.
        let server: BaseUrl = "http://localhost".parse().expect("it is a URL");
        let http = plain(&server, CONNECT);
        Self::over(Transport::within(http, service), server, token, face)
    }

    fn over(transport: Transport, server: BaseUrl, token: Token, face: Face) -> Self {
        Self {
            server,
            token,
            face,
            transport,
            restrictions: Vec::new(),
            simulated: Arc::default(),
            patience: None,
            pauses: PAUSES,
        }
    }

    /// The same for another caller.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self {
            token,
            ..self.clone()
        }
    }

    /// The token that calls are made with.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether the last answer came from a daemon whose engine is a simulation.
    pub fn is_simulated(&self) -> bool {
        self.simulated.load(Ordering::Relaxed)
    }

    /// The same client for a look that must not take long.
    #[must_use]
    pub fn impatient(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// The same client, which does not do what is restricted, although its token may: every request says
    /// so, and the daemon sees to it. Restricted again, both count.
    #[must_use]
    pub fn restricted(&self, restrictions: Restrictions) -> Self {
        let mut restricted = self.clone();
        if !restrictions.is_none() {
            restricted.restrictions.push(restrictions.to_string());
        }
        restricted
    }

    /// The request, with who makes it: token, face and restrictions.
    pub(crate) fn signed(&self, call: RequestBuilder) -> Result<RequestBuilder, TokenError> {
        let call = call
            .header(header::AUTHORIZATION, self.token.header()?)
            .header(Face::HEADER, self.face.as_str());
        let restrictions = self.restrictions.iter();
        Ok(restrictions.fold(call, |call, said| call.header(Restrictions::HEADER, said)))
    }

    /// The server that is called.
    pub fn server(&self) -> &BaseUrl {
        &self.server
    }

    /// How long an answer to `E` is waited for.
    pub(crate) fn patience_of<E: Endpoint>(&self) -> Duration {
        self.patience.unwrap_or(E::PATIENCE)
    }

    /// Remembers what an answer says of the engine.
    pub(crate) fn note_engine(&self, headers: &HeaderMap) {
        let engine = headers.get(HostEngine::HEADER);
        let simulated = engine.is_some_and(|engine| engine == HostEngine::SIM);
        self.simulated.store(simulated, Ordering::Relaxed);
    }

    /// Asks the daemon. Dropping the future drops the connection.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn call<E: Endpoint>(&self, request: &E) -> Result<E::Answer, CallError> {
        self.ask(request, Manner::Wait).await?.read()
    }

    /// Asks the daemon, and where a change's answer is lost, again under the same key.
    pub(crate) async fn ask<E: Endpoint>(
        &self,
        request: &E,
        manner: Manner,
    ) -> Result<Reply, CallError> {
        let projection = Projection::of(request).map_err(|e| CallError::Protocol(e.to_string()))?;
        let key = match E::EFFECT {
            Effect::Read => None,
            Effect::Write | Effect::Destroy => Some(Ulid::generate().to_string()),
        };
        // What is no operation is not known to the daemon by its key.
        let mut again = Again::new(E::OPERATION.map_or(&[], |_| self.pauses));
        let until = Instant::now() + self.patience_of::<E>();
        loop {
            let left = || until.saturating_duration_since(Instant::now());
            let done = self.send::<E>(&projection, key.as_deref(), manner, left());
            match again.after(done.await, left()) {
                ControlFlow::Continue(pause) => sleep(pause).await,
                ControlFlow::Break(told) => return told,
            }
        }
    }

    async fn send<E: Endpoint>(
        &self,
        projection: &Projection,
        key: Option<&str>,
        manner: Manner,
        patience: Duration,
    ) -> Result<Reply, CallError> {
        let Projection { path, rest } = projection;
        let call = self.transport.request(E::METHOD, self.server.at(path));
        let mut call = self.signed(call)?.timeout(patience);
        if let Some(key) = key {
            call = call.header(IdempotencyKey::HEADER, key);
        }
        if manner == Manner::RespondAsync {
            call = call.header("prefer", "respond-async");
        }
        let call = match rest {
            Rest::Body(fields) => call.json(fields),
            Rest::Query(pairs) if pairs.is_empty() => call,
            Rest::Query(pairs) => call.query(pairs),
        };
        let sent = self.transport.send(&self.server, call).await;
        let answer = sent.map_err(|why| CallError::Unreachable { why })?;
        let unreachable = |e| CallError::Unreachable {
            why: dial::why(&self.server, &e),
        };
        self.note_engine(answer.headers());
        let status = answer.status();
        let retry_after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Reply {
            asked: format!("{} {path}", E::METHOD),
            status,
            retry_after: retry_after.map(Duration::from_secs),
            body: answer.text().await.map_err(unreachable)?,
        })
    }
}

fn connecting(
    server: &BaseUrl,
    ca_file: Option<&Path>,
    connect: Duration,
) -> Result<Transport, NoClient> {
    let http = plain(server, connect);
    if !server.is_https() {
        return Ok(Transport::plain(http));
    }
    // What the caller has named is looked at now, what the system has when it is needed.
    let more = ca_file.map(certificates).transpose()?.unwrap_or_default();
    let builder = builder(server, connect);
    Ok(Transport::secured(http, move || {
        let built = builder.tls_certs_merge(more).build();
        built.map_err(|e| {
            e.source()
                .map_or_else(|| e.to_string(), ToString::to_string)
        })
    }))
}

/// A client without TLS, which a machine without root certificates can have too.
///
/// # Panics
///
/// Never: nothing of the system is needed for it.
fn plain(server: &BaseUrl, connect: Duration) -> reqwest::Client {
    let builder = builder(server, connect).tls_certs_only([]);
    builder.build().expect("a client without TLS")
}

fn builder(server: &BaseUrl, connect: Duration) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .connect_timeout(connect)
        // The daemon never redirects; whoever does shall not get the token.
        .redirect(redirect::Policy::none())
        // A connection kept over a restart of the daemon would fail the call after it.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("containarium/", env!("CARGO_PKG_VERSION")));
    if server.is_loopback() {
        builder.no_proxy()
    } else {
        builder
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, NoClient> {
    let pem = std::fs::read(path).map_err(|cause| NoClient::CaFile {
        path: path.to_owned(),
        cause,
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(NoClient::NoCertificate {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Why;
    use containarium_contract::{GetSystemInfo, Method};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let server: BaseUrl = format!("http://{address}").parse().unwrap();
        let short = Duration::from_millis(50);
        let client = Client {
            transport: connecting(&server, None, short).unwrap(),
            patience: Some(short),
            server,
            token: Token::fixed("t"),
            face: Face::Rest,
            restrictions: Vec::new(),
            simulated: Arc::default(),
            pauses: PAUSES,
        };
        let error = client.call(&GetSystemInfo {}).await.unwrap_err();
        let CallError::Unreachable { why } = error else {
            panic!("{error:?}")
        };
        assert_eq!(why, Why::AnswerTimeout { address });
    }

    #[test]
    fn each_restriction_goes_with_every_request() {
        let client = Client::new("http://h", Token::fixed("t"), Face::Mcp).unwrap();
        let sent = |client: &Client| {
            let call = client
                .signed(
                    client
                        .transport
                        .request(Method::GET, "http://h".parse().unwrap()),
                )
                .unwrap();
            let sent = call.build().unwrap();
            let all = sent.headers().get_all(Restrictions::HEADER).into_iter();
            all.map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let restricted = client
            .restricted("only=agent-*".parse().unwrap())
            .restricted(Restrictions::default())
            .restricted("read-only".parse().unwrap());
        assert_eq!(sent(&restricted), ["only=agent-*", "read-only"]);
        assert_eq!(sent(&client), [""; 0]);
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let client = |path: &Path| {
            let token = Token::fixed("t");
            Client::trusting("https://h", Some(path), token, Face::Rest)
                .unwrap_err()
                .to_string()
        };
        assert!(client(file.path()).ends_with("holds no PEM certificate"));
        assert!(client(Path::new("/nowhere/ca.pem")).contains("/nowhere/ca.pem cannot be read"));
    }
}
