//! Events: what happens is told to whoever listens, over a websocket. Not durable, as in incusd.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::sim::Shared;
use crate::world::time;

/// How often incusd pings who listens.
const PING: Duration = Duration::from_secs(10);
/// Events that wait for a listener; one that is slower loses the oldest.
const WAITING: usize = 4096;

/// One event as it is told.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    kind: &'static str,
    project: String,
    json: Value,
}

/// To all who listen.
pub(crate) struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Events {
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// That nobody listens is no failure.
    pub(crate) fn tell(&self, event: Event) {
        let _nobody = self.0.send(event);
    }
}

impl Event {
    /// `asked`: somebody asked for it.
    pub(crate) fn lifecycle(
        action: &str,
        project: &str,
        name: &str,
        source: &str,
        asked: bool,
    ) -> Self {
        let mut metadata =
            json!({"action": action, "source": source, "name": name, "project": project});
        if asked && let Some(metadata) = metadata.as_object_mut() {
            let who = json!({"username": "sim", "protocol": "unix", "address": "@"});
            metadata.insert("requestor".to_owned(), who);
        }
        Self::new("lifecycle", project, metadata)
    }

    pub(crate) fn operation(project: &str, operation: Value) -> Self {
        Self::new("operation", project, operation)
    }

    fn new(kind: &'static str, project: &str, metadata: Value) -> Self {
        let json = json!({"type": kind, "timestamp": time(SystemTime::now()), "location": "none",
            "project": project, "metadata": metadata});
        Self {
            kind,
            project: project.to_owned(),
            json,
        }
    }
}

/// What a listener asks for.
pub(crate) struct Asks {
    key: String,
    kinds: Vec<String>,
    /// `None` for all.
    project: Option<String>,
}

impl Asks {
    /// What a request to listen asks for; `None` of any other request.
    pub(crate) fn of(request: &Request<Incoming>) -> Option<Self> {
        if request.uri().path() != "/1.0/events" {
            return None;
        }
        let key = request.headers().get("sec-websocket-key")?;
        let query = request.uri().query().unwrap_or_default();
        let field = |name: &str| {
            query.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
                (key == name).then_some(value)
            })
        };
        let all = field("all-projects").is_some_and(|all| all == "true");
        let project = field("project").unwrap_or_else(|| "default".to_owned());
        let kinds = field("type").unwrap_or_else(|| "logging,operation,lifecycle".to_owned());
        Some(Self {
            key: key.to_str().ok()?.to_owned(),
            kinds: kinds.split(',').map(str::to_owned).collect(),
            project: (!all).then_some(project),
        })
    }

    /// The answer after which the connection is a websocket.
    pub(crate) fn accepted(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes())) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }

    fn wants(&self, event: &Event) -> bool {
        self.kinds.iter().any(|kind| kind == event.kind)
            && self
                .project
                .as_ref()
                .is_none_or(|project| *project == event.project)
    }
}

/// Tells a listener what happens, until it hangs up; nothing while the sim hangs.
pub(crate) async fn tell(
    shared: &Shared,
    upgrade: OnUpgrade,
    asks: Asks,
    mut heard: broadcast::Receiver<Event>,
) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let stream = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let mut ping = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            event = heard.recv() => match event {
                Ok(event) if asks.wants(&event) => Message::text(event.json.to_string()),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = ping.tick() => Message::Ping(Bytes::from_static(b"keepalive")),
            said = socket.next() => match said {
                // Answers to pings.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        shared.awake().await;
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
