//! An endpoint: one thing that can be asked of us. Not how it is served, called or drawn.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::OperationKind;

pub use http::Method;

/// The patience of a call that may have to fetch and prepare an image first.
pub(crate) const MINUTES: Duration = Duration::from_secs(45 * 60);
/// How a stream's answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// A WebSocket, after `101 Switching Protocols`: messages go both ways.
    WebSocket,
    /// Server-sent events, as the body of a `200` that does not end.
    Events,
}

/// What an endpoint does to the world; roles and MCP hints follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing changes.
    Read,
    /// Something changes and can be changed back.
    Write,
    /// Something is gone afterwards.
    Destroy,
}

/// A request that Containarium answers.
pub trait Endpoint: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Stable name: the OpenAPI `operationId`, the log field.
    const ID: &'static str;
    /// The HTTP method.
    const METHOD: Method;
    /// Path template; `{field}` binds to the request field of that name.
    const PATH: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// The HTTP status of success.
    const STATUS: u16 = 200;
    /// The kind of operation that it begins, where it is a change.
    const OPERATION: Option<OperationKind> = None;
    /// How long a caller waits for the answer at the most; the daemon gives up before this.
    const PATIENCE: Duration = Duration::from_secs(150);
    /// What success looks like.
    type Answer: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// Whether the request itself asks to be answered with its operation, at once.
    fn responds_async(&self) -> bool {
        false
    }
}

/// A request whose answer goes on until somebody hangs up. Always a GET.
pub trait Stream: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// As [`Endpoint::ID`].
    const ID: &'static str;
    /// As [`Endpoint::PATH`].
    const PATH: &'static str;
    /// As [`Endpoint::EFFECT`].
    const EFFECT: Effect;
    /// How its answer goes on.
    const KIND: StreamKind;
}

/// An endpoint with its types erased, for whoever lists them all.
#[derive(Clone, Debug)]
pub struct Spec {
    /// [`Endpoint::ID`].
    pub id: &'static str,
    /// [`Endpoint::METHOD`].
    pub method: Method,
    /// [`Endpoint::PATH`].
    pub path: &'static str,
    /// [`Endpoint::EFFECT`].
    pub effect: Effect,
    /// [`Endpoint::STATUS`].
    pub status: u16,
    /// JSON Schema (2020-12) of the request, path fields included.
    pub request: Map<String, Value>,
    /// The schema of the answer in a document of many, where what it is made of has names of its own;
    /// empty where the answer is a stream.
    pub answer_in: fn(&mut SchemaGenerator) -> Schema,
    /// How its answer goes on, where it is a stream.
    pub stream: Option<StreamKind>,
    /// [`Endpoint::OPERATION`].
    pub operation: Option<OperationKind>,
}

impl Spec {
    /// The erased form of `E`.
    pub fn of<E: Endpoint>() -> Self {
        Self {
            id: E::ID,
            method: E::METHOD,
            path: E::PATH,
            effect: E::EFFECT,
            status: E::STATUS,
            request: request::<E>(),
            answer_in: |document| document.subschema_for::<E::Answer>(),
            stream: None,
            operation: E::OPERATION,
        }
    }

    /// JSON Schema (2020-12) of the answer, alone.
    pub fn answer(&self) -> Value {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut generator = settings.for_serialize().into_generator();
        (self.answer_in)(&mut generator).to_value()
    }

    /// The erased form of the stream `S`.
    pub fn of_stream<S: Stream>() -> Self {
        Self {
            id: S::ID,
            method: Method::GET,
            path: S::PATH,
            effect: S::EFFECT,
            status: match S::KIND {
                StreamKind::WebSocket => 101,
                StreamKind::Events => 200,
            },
            request: request::<S>(),
            answer_in: |_| Schema::default(),
            stream: Some(S::KIND),
            operation: None,
        }
    }

    /// Whether it is answered by a connection, so that it must be asked for as a WebSocket.
    pub fn is_web_socket(&self) -> bool {
        self.stream == Some(StreamKind::WebSocket)
    }

    /// Whether its answer has an `ETag`, so that a caller who has it already is told just that.
    pub fn is_tagged(&self) -> bool {
        self.method == Method::GET && self.stream.is_none()
    }

    /// The names in the path template.
    pub fn path_fields(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether the fields that are not in the path travel in the body; else in the query.
    pub fn has_body(&self) -> bool {
        matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
    }
}

fn request<R: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let generator = settings.for_deserialize().into_generator();
    match generator.into_root_schema_for::<R>().to_value() {
        Value::Object(map) => map,
        other => Map::from_iter([("const".to_owned(), other)]),
    }
}
