//! Events: what happens in Incus, told as it happens.
//!
//! Not durable: what happened while nobody listened is told to nobody, and an event may come before
//! the answer to the request that caused it. So listen, then list, then let events say what to look
//! at again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, http};

use crate::address::Stream;
use crate::client::{Client, READ};
use crate::envelope::{decode, refusal};
use crate::error::{Error, Result};
use crate::nullable::nullable;
use crate::operation::Operation;

/// Incus pings every 10 s; after two that did not come nobody is there.
const SILENCE: Duration = Duration::from_secs(25);
/// The longest event that is read, in bytes; an operation may tell its whole metadata.
const LONGEST: usize = 8 << 20;

/// What to listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// What was done to objects, after it was done.
    Lifecycle,
    /// Operations: each time one moves on.
    Operation,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Lifecycle => "lifecycle",
            EventType::Operation => "operation",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, RFC 3339, to the nanosecond.
    pub timestamp: String,
    /// In which project.
    pub project: String,
    /// What.
    pub happened: Happened,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Happened {
    /// Something was done to an object.
    Lifecycle(Lifecycle),
    /// An operation has moved on, to what it is now. Metadata may be left out.
    Operation(Box<Operation>),
    /// Something of a type that was not asked for.
    Other(String),
}

/// Something that was done to an object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// Such as `instance-created`, `-started`, `-shutdown` (by itself or when asked), `-stopped` (by
    /// force), `-restarted`, `-paused`, `-resumed`, `-updated`, `-renamed`, `-deleted`.
    pub action: String,
    /// The object's URL, such as `/1.0/instances/a1?project=p`; names in it are percent-encoded.
    pub source: String,
    /// The object's name.
    pub name: String,
    /// What else is to be known, such as `old_name`.
    #[serde(deserialize_with = "nullable")]
    pub context: Value,
    /// Who asked for it; nobody where an instance did it by itself.
    pub requestor: Option<Requestor>,
}

/// Who asked Incus for something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requestor {
    /// The user of the system behind a unix socket, the fingerprint of a certificate over HTTPS.
    pub username: String,
    /// `unix`, `tls`, …
    pub protocol: String,
    /// From where; `@` behind a unix socket.
    pub address: String,
}

/// When Incus was last heard of by one [`Events`]: a clone can be asked by whoever wants to tell an
/// Incus that has nothing to say from one that says nothing.
#[derive(Debug, Clone)]
pub struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The moment: of the handshake, of an event, or of a ping, which comes every 10 s. Signs are
    /// heard only while somebody is in [`Events::next`].
    pub fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default, deserialize_with = "nullable")]
    project: String,
    #[serde(default, borrow)]
    metadata: Option<&'a RawValue>,
}

/// What is listened to. Dropping it hangs up.
#[derive(Debug)]
pub struct Events {
    socket: WebSocketStream<Stream>,
    heard: Heard,
}

impl Client {
    /// Listens to what happens in this client's project from now on, give or take the moment that
    /// Incus needs to begin telling.
    pub async fn events(&self, types: &[EventType]) -> Result<Events> {
        let types: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
        let target = self.target(&["events"], &[("type", &types.join(","))])?;
        let what = format!("GET {target}");
        let request = format!("ws://incus{target}")
            .into_client_request()
            .map_err(|error| Error::InvalidName(format!("{what}: {error}")))?;
        let listen = async {
            let stream = self.engine().connect().await?;
            let limits = WebSocketConfig::default()
                .max_message_size(Some(LONGEST))
                .max_frame_size(Some(LONGEST));
            tokio_tungstenite::client_async_with_config(request, stream, Some(limits))
                .await
                .map_err(|error| not_taken(&what, error))
        };
        let (socket, _answer) = timeout(READ, listen)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { what, after: READ }))?;
        Ok(Events {
            socket,
            heard: Heard::now(),
        })
    }
}

impl Events {
    /// When Incus was last heard of, now and later.
    pub fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// The next event. Waits for it as long as Incus shows that it is there; may be dropped at any
    /// point without losing one.
    ///
    /// After an error nothing more comes: listen anew, and list.
    pub async fn next(&mut self) -> Result<Event> {
        let broken = |why: String| Error::Protocol(format!("events: {why}"));
        loop {
            let message = timeout(SILENCE, self.socket.next()).await;
            let message = message.map_err(|_| Error::Timeout {
                what: "events, or a sign of life".to_owned(),
                after: SILENCE,
            })?;
            if let Some(Ok(_)) = message {
                self.heard.again();
            }
            match message {
                Some(Ok(Message::Text(text))) => return Event::read(text.as_str()),
                // Pings are answered while the next message is waited for.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => {}
                Some(Ok(Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(broken("Incus hung up".into())),
                Some(Err(error)) => return Err(broken(error.to_string())),
            }
        }
    }
}

impl Event {
    fn read(text: &str) -> Result<Self> {
        let frame: Frame<'_> = serde_json::from_str(text)
            .map_err(|error| Error::Protocol(format!("an event of another shape: {error}")))?;
        let metadata = frame.metadata.map_or("null", RawValue::get).as_bytes();
        let happened = match frame.kind.as_str() {
            "lifecycle" => Happened::Lifecycle(decode(metadata)?),
            "operation" => Happened::Operation(Box::new(decode(metadata)?)),
            _ => Happened::Other(frame.kind),
        };
        Ok(Self {
            timestamp: frame.timestamp,
            project: frame.project,
            happened,
        })
    }
}

/// Incus answers a handshake that it does not take as it answers any request.
fn not_taken(what: &str, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(answer) => {
            let code: http::StatusCode = answer.status();
            let body = answer.into_body().unwrap_or_default();
            refusal(code.as_u16(), &body)
        }
        other => Error::Protocol(format!("{what}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_what_they_tell() {
        let lifecycle = r#"{"type":"lifecycle","timestamp":"2026-01-01T00:00:00.1Z","location":"none",
            "project":"p","metadata":{"action":"instance-created","source":"/1.0/instances/a1?project=p",
            "name":"a1","project":"p","context":null,"requestor":{"username":"root","protocol":"unix"}}}"#;
        let event = Event::read(lifecycle).unwrap();
        let Happened::Lifecycle(told) = event.happened else {
            panic!("{event:?}")
        };
        assert_eq!(
            (told.action.as_str(), told.name.as_str()),
            ("instance-created", "a1")
        );
        let asked = told.requestor.unwrap();
        assert_eq!(
            (asked.username.as_str(), asked.protocol.as_str()),
            ("root", "unix")
        );
        assert_eq!(event.project, "p");

        let operation = r#"{"type":"operation","timestamp":"","project":"p",
            "metadata":{"id":"6a1e","status_code":103,"resources":null}}"#;
        let event = Event::read(operation).unwrap();
        let Happened::Operation(told) = event.happened else {
            panic!("{event:?}")
        };
        assert!(told.id == "6a1e" && !told.status_code.is_final());

        let other = Event::read(r#"{"type":"ovn","metadata":{}}"#).unwrap();
        assert!(matches!(other.happened, Happened::Other(kind) if kind == "ovn"));
        let junk = Event::read("x").unwrap_err();
        assert!(matches!(junk, Error::Protocol(_)), "{junk:?}");
    }
}
