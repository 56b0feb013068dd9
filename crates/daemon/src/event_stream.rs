//! Events as server-sent events: each with its number, so that a listener who was away goes on right
//! behind the last it heard.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, header},
};
use containarium_contract::{ListenEvents, Problem, Reason};
use containarium_core::{Telling, Told};
use futures_util::stream;
use tokio::time::{Instant, timeout};

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The last event that the listener heard, where it says so.
pub(crate) fn after(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(ListenEvents::LAST_EVENT_ID) else {
        return Ok(None);
    };
    let number = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::new(
            Reason::InvalidValue,
            "`Last-Event-ID` is the number of an event, as its `id` field has it",
        )
    })
}

/// Answers with events until the listener hangs up, its token (`expiry`, Unix seconds) is over, or
/// the daemon stops.
pub(crate) fn begin(telling: Telling, expiry: u64) -> Response<Body> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = expiry.saturating_sub(now.unwrap_or_default().as_secs());
    let end = Instant::now() + Duration::from_secs(left);
    // A comment first, so that the listener knows at once that it is heard.
    let hello = Bytes::from_static(b": listening\n\n");
    let told = stream::unfold(
        (telling, Some(hello)),
        move |(mut telling, first)| async move {
            if let Some(first) = first {
                return Some((Ok::<_, Infallible>(first), (telling, None)));
            }
            if Instant::now() >= end {
                return None;
            }
            let bytes = match timeout(HEARTBEAT, telling.next()).await {
                Ok(Ok(Some(told))) => frame(&told)?,
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => {
                    tracing::error!(%error, "events cannot be read");
                    return None;
                }
                Err(_) => Bytes::from_static(b":\n\n"),
            };
            Some((Ok(bytes), (telling, None)))
        },
    );
    let mut response = Response::new(Body::from_stream(told));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn frame(told: &Told) -> Option<Bytes> {
    // JSON on one line: its strings escape line ends.
    let json = serde_json::to_string(&told.event).ok()?;
    let name = told.event.name();
    Some(format!("id: {}\nevent: {name}\ndata: {json}\n\n", told.seq).into())
}
