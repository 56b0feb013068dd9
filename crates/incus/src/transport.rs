//! One request over one connection: connect, write, read to the end, close, within a deadline.
//!
//! Never opens ahead of need: a connection that has sent nothing blocks incusd's socket for everyone.
//! Knows HTTP and nothing of Incus's envelope. No task is spawned, so dropping the future closes
//! the socket.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::address::Address;
use crate::elements::Elements;
use crate::error::{Error, Result, chain};
use crate::upload::Upload;

/// What to do with an answer that is longer than wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// More than this many bytes is an error.
    Refuse(usize),
    /// Keep the last so many bytes.
    Tail(usize),
}

/// The bound of an ordinary answer: 32 MiB, some 10 000 instances with their state.
pub(crate) const ANSWER: Limit = Limit::Refuse(32 << 20);

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, already encoded.
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Upload,
    pub(crate) limit: Limit,
    pub(crate) deadline: Duration,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends `call` to Incus and reads the whole answer.
pub(crate) async fn send(engine: &Address, call: Call) -> Result<Reply> {
    let what = format!("{} {}", call.method, call.target);
    let after = call.deadline;
    timeout(after, exchange(engine, call, &what, None))
        .await
        .unwrap_or_else(|_| Err(Error::Timeout { what, after }))
}

/// What is given each element of a list.
pub(crate) type Take<'a> = &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send);

/// The same for an answer that is a list: `take` is given each element as it arrives; what is left is
/// the reply. The list may have any length.
pub(crate) async fn send_for_each(engine: &Address, call: Call, take: Take<'_>) -> Result<Reply> {
    let what = format!("{} {}", call.method, call.target);
    let after = call.deadline;
    timeout(after, exchange(engine, call, &what, Some(take)))
        .await
        .unwrap_or_else(|_| Err(Error::Timeout { what, after }))
}

async fn exchange(
    engine: &Address,
    call: Call,
    what: &str,
    take: Option<Take<'_>>,
) -> Result<Reply> {
    let broken = |error: hyper::Error| Error::Protocol(format!("{what}: {}", chain(&error)));

    let mut request = http::Request::builder()
        .method(call.method)
        .uri(call.target)
        .header(header::HOST, "incus")
        .header(header::CONNECTION, "close");
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(call.body)
        .map_err(|error| Error::InvalidName(format!("{what}: {error}")))?;

    let stream = engine.connect().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let mut connection = pin!(connection);
    let mut talk = pin!(async {
        let reply = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = reply.into_parts();
        let body = match take {
            Some(take) => read_for_each(body, take, what).await?,
            None => read(body, call.limit, what).await?,
        };
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    });
    tokio::select! {
        reply = &mut talk => reply,
        // The connection's own error, if any, reaches `talk` as well.
        _ended = &mut connection => talk.await,
    }
}

async fn read(mut body: Incoming, limit: Limit, what: &str) -> Result<Bytes> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Protocol(format!("{what}: {}", chain(&error))))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        kept.extend_from_slice(&data);
        match limit {
            Limit::Refuse(most) if kept.len() > most => {
                return Err(Error::Protocol(format!("{what}: more than {most} bytes")));
            }
            Limit::Tail(most) if kept.len() > most => {
                let _dropped = kept.split_to(kept.len() - most);
            }
            Limit::Refuse(_) | Limit::Tail(_) => {}
        }
    }
    Ok(kept.freeze())
}

async fn read_for_each(mut body: Incoming, take: Take<'_>, what: &str) -> Result<Bytes> {
    let mut elements = Elements::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Protocol(format!("{what}: {}", chain(&error))))?;
        if let Ok(data) = frame.into_data() {
            elements.push(&data, take)?;
        }
    }
    Ok(elements.rest().into())
}
