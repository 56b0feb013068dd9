//! Listening to what happens: an answer that goes on, taken up again where it broke off.

use std::time::Duration;

use containarium_contract::{Event, ListenEvents};
use reqwest::{Response, header};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    CallError, Client, Why, dial,
    projection::{Projection, Rest},
    sse::Parser,
};

/// The daemon says something at least every 15 seconds, if only that it is there.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a daemon that was heard may be away.
const AWAY: Duration = Duration::from_secs(300);
/// Between two tries to hear it again.
const PAUSE: Duration = Duration::from_secs(1);

/// What happens, as it happens.
#[derive(Debug)]
pub struct Events {
    client: Client,
    listen: ListenEvents,
    last: Option<String>,
    open: Option<(Response, Parser)>,
    /// Since when nobody is heard, and why.
    away: Option<Instant>,
    /// When to try again.
    again: Instant,
}

impl Client {
    /// Listens to what happens from now on, or right behind the event `last`.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn events(
        &self,
        listen: ListenEvents,
        last: Option<String>,
    ) -> Result<Events, CallError> {
        let mut events = Events {
            client: self.clone(),
            listen,
            last,
            open: None,
            away: None,
            again: Instant::now(),
        };
        events.open = Some(events.opened().await?);
        Ok(events)
    }
}

impl Events {
    /// The next event and its id. A connection that breaks is made again, and nothing is missed
    /// then; what cannot be told any more is told as [`Event::Reset`]. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    ///
    /// The daemon was not there for five minutes, or refuses to tell more.
    pub async fn next(&mut self) -> Result<(String, Event), CallError> {
        loop {
            let broke = match &mut self.open {
                Some((answer, parser)) => {
                    if let Some(message) = parser.next() {
                        self.away = None;
                        self.last = Some(message.id.clone()).filter(|id| !id.is_empty());
                        match serde_json::from_str(&message.data) {
                            Ok(event) => return Ok((message.id, event)),
                            // A kind that a later daemon has, and this program does not know.
                            Err(_) => continue,
                        }
                    }
                    match timeout(SILENCE, answer.chunk()).await {
                        Ok(Ok(Some(piece))) => {
                            let taken = parser.push(&piece);
                            taken.map_err(|e| CallError::Protocol(e.to_string()))?;
                            continue;
                        }
                        Ok(Ok(None)) => self.broken("the stream ended"),
                        Ok(Err(error)) => CallError::Unreachable {
                            why: dial::why(&self.client.server, &error),
                        },
                        Err(_) => self.broken("nothing was heard for a minute"),
                    }
                }
                None => {
                    sleep_until(self.again).await;
                    match self.opened().await {
                        Ok(open) => {
                            self.open = Some(open);
                            continue;
                        }
                        Err(error) if error.may_pass() => error,
                        Err(error) => return Err(error),
                    }
                }
            };
            self.open = None;
            self.again = Instant::now() + PAUSE;
            if self.away.get_or_insert_with(Instant::now).elapsed() > AWAY {
                return Err(broke);
            }
        }
    }

    fn broken(&self, text: &str) -> CallError {
        CallError::Unreachable {
            why: Why::Broken {
                address: self.client.server.address(),
                text: text.to_owned(),
            },
        }
    }

    async fn opened(&self) -> Result<(Response, Parser), CallError> {
        let client = &self.client;
        let Projection { path, rest } =
            Projection::of_stream(&self.listen).map_err(|e| CallError::Protocol(e.to_string()))?;
        let mut ask = client
            .signed(client.http.get(client.server.at(&path)))?
            .header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            ask = ask.header(ListenEvents::LAST_EVENT_ID, last);
        }
        if let Rest::Query(pairs) = rest {
            ask = ask.query(&pairs);
        }
        let unreachable = |e| CallError::Unreachable {
            why: dial::why(&client.server, &e),
        };
        // The whole answer has no end, its head has.
        let answer = match timeout(SILENCE, ask.send()).await {
            Ok(answer) => answer.map_err(unreachable)?,
            Err(_) => return Err(self.broken("nothing was heard for a minute")),
        };
        client.note_engine(answer.headers());
        let status = answer.status();
        if !status.is_success() {
            let body = answer.text().await.map_err(unreachable)?;
            return Err(CallError::refused(status.as_u16(), body));
        }
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(CallError::Protocol(format!("{path}: no stream of events")));
        }
        let parser = Parser::behind(self.last.clone().unwrap_or_default());
        Ok((answer, parser))
    }
}
