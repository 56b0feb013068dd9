//! What is asked and what is answered: HTTP on one side, Incus's envelope on the other.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::world::text;

const FILE_TYPE: header::HeaderName = header::HeaderName::from_static("x-incus-type");

/// A request, read to its end.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Decoded; the first is `1.0`.
    pub(crate) segments: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) if_match: Option<String>,
    /// `X-Incus-type`.
    pub(crate) file_type: Option<String>,
    pub(crate) body: Bytes,
}

/// A failure in Incus's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// What a request comes to.
pub(crate) enum Answer {
    Sync(Value),
    Tagged {
        metadata: Value,
        etag: String,
    },
    /// The same as text, which is JSON already.
    Json(String),
    /// Accepted; the operation.
    Async(Value),
    /// How an operation failed, told by a wait: an error with HTTP 200.
    Late(Refusal),
    /// A file of an instance.
    File(Vec<u8>),
    /// A directory of an instance.
    Directory(Value),
    /// A bare text, such as a console's log.
    Text(String),
}

impl Asked {
    pub(crate) async fn read(request: http::Request<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = request.into_parts();
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        };
        Ok(Self {
            method: head.method,
            segments: head
                .uri
                .path()
                .trim_start_matches('/')
                .split('/')
                .map(decode)
                .collect(),
            query: head
                .uri
                .query()
                .unwrap_or_default()
                .split('&')
                .map(pair)
                .collect(),
            if_match: text_of(&head.headers, header::IF_MATCH),
            file_type: text_of(&head.headers, FILE_TYPE),
            body: body.collect().await?.to_bytes(),
        })
    }

    /// The project the request is about.
    pub(crate) fn project(&self) -> String {
        self.query
            .get("project")
            .cloned()
            .unwrap_or_else(|| "default".to_owned())
    }

    /// The body as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::new(400, error.to_string()))
    }

    /// Refuses unless the tag the client has seen, if it says one, is this one.
    pub(crate) fn check_tag(&self, etag: &str) -> Result<(), Refusal> {
        match &self.if_match {
            Some(seen) if seen != etag => Err(Refusal::new(
                412,
                format!("ETag doesn't match: {etag} vs {seen}"),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// Wraps an answer as Incus does.
pub(crate) fn response(answer: Result<Answer, Refusal>) -> Response<Bytes> {
    let error = |refusal: &Refusal| {
        json!({"type": "error", "status": "", "status_code": 0, "operation": "",
            "error_code": refusal.code, "error": refusal.text, "metadata": null})
    };
    let sync = |metadata| {
        json!({"type": "sync", "status": "Success", "status_code": 200, "operation": "",
            "error_code": 0, "error": "", "metadata": metadata})
    };
    let mut etag = None;
    let (status, json) = match answer {
        Ok(Answer::Sync(metadata)) => (200, sync(metadata)),
        Ok(Answer::Tagged {
            metadata,
            etag: tag,
        }) => {
            etag = Some(tag);
            (200, sync(metadata))
        }
        Ok(Answer::Json(metadata)) => {
            let (null, full) = (r#""metadata":null"#, format!(r#""metadata":{metadata}"#));
            let envelope = sync(Value::Null).to_string().replace(null, &full);
            return built("application/json", 200, None, envelope);
        }
        Ok(Answer::Async(operation)) => {
            let url = format!("/1.0/operations/{}", text(&operation, "id"));
            let json = json!({"type": "async", "status": "Operation created", "status_code": 100,
                "operation": url, "error_code": 0, "error": "", "metadata": operation});
            (202, json)
        }
        Ok(Answer::Late(refusal)) => (200, error(&refusal)),
        Ok(Answer::Text(text)) => return built("application/octet-stream", 200, None, text),
        Ok(Answer::File(content)) => {
            let file = built("application/octet-stream", 200, None, content);
            return typed(file, "file");
        }
        Ok(Answer::Directory(names)) => {
            let directory = built("application/json", 200, None, sync(names).to_string());
            return typed(directory, "directory");
        }
        Err(refusal) => (refusal.code, error(&refusal)),
    };
    built("application/json", status, etag, json.to_string())
}

fn typed(mut response: Response<Bytes>, kind: &'static str) -> Response<Bytes> {
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert(FILE_TYPE, kind);
    response
}

fn built(kind: &str, status: u16, etag: Option<String>, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in [
        (header::CONTENT_TYPE, Some(kind)),
        (header::ETAG, etag.as_deref()),
    ] {
        if let Some(value) = value.and_then(|value| http::HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The body of an answer; one that is cut breaks off in the middle of what was promised.
pub(crate) struct Body {
    rest: Bytes,
    promised: u64,
    cut: bool,
}

impl Body {
    pub(crate) fn new(bytes: Bytes, cut: bool) -> Self {
        let promised = bytes.len() as u64;
        let rest = if cut {
            bytes.slice(..bytes.len() / 2)
        } else {
            bytes
        };
        Self {
            rest,
            promised,
            cut,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready(match (rest.is_empty(), self.cut) {
            (false, _) => Some(Ok(Frame::data(rest))),
            (true, true) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            (true, false) => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
