//! The REST API as an OpenAPI 3.1 document: a projection of the endpoints, with nothing of its own
//! but the words that OpenAPI wants around them.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null, and takes a new one"
)]

use containarium_contract::{Event, OperationAnswer, Problem, Spec, StreamKind};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::page::Page;

/// The document.
pub fn openapi(specs: &[Spec]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|s| {
            s.definitions_path = "/components/schemas".into();
            s.meta_schema = None;
        })
        .for_serialize()
        .into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut bodies = Map::new();
    let mut paths = Map::new();
    for spec in specs {
        let operation = operation(spec, &mut generator, &mut bodies);
        let path = paths.entry(spec.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(spec.method.as_str().to_lowercase(), operation);
        }
    }
    for page in Page::ALL {
        paths.insert(page.path().to_owned(), json!({ "get": plain(page) }));
    }
    let mut schemas = generator.take_definitions(true);
    schemas.extend(bodies);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Containarium",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "A Linux container of their own for every user and every agent. Fields \
                are camelCase in answers; snake_case is taken too. Unknown fields are refused.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "With a header `containarium-restrict`, such as `only=agent-*,bob; max=5; \
                    read-only`, a request gives up some of what its token may.",
            } },
            "responses": { "Problem": {
                "description": "What is so, and what to do next. The reasons are a closed set.",
                "content": { "application/json": { "schema": problem } },
            } },
            "schemas": schemas,
        },
    })
}

fn operation(
    spec: &Spec,
    generator: &mut SchemaGenerator,
    bodies: &mut Map<String, Value>,
) -> Value {
    let mut request = spec.request.clone();
    let title = request.remove("title").unwrap_or_default();
    request.remove("$schema");
    let about = request.remove("description").unwrap_or_default();
    let required = request.remove("required").unwrap_or_default();
    let is_required = |name: &str| {
        let names = required.as_array();
        names.is_some_and(|names| names.iter().any(|n| n == name))
    };
    let fields = match request.remove("properties") {
        Some(Value::Object(fields)) => fields,
        Some(_) | None => Map::new(),
    };
    let in_path: Vec<&str> = spec.path_fields().collect();
    let (path, rest): (Map<_, _>, Map<_, _>) = fields
        .into_iter()
        .partition(|(name, _)| in_path.contains(&name.as_str()));
    let mut parameters: Vec<Value> = path
        .into_iter()
        .map(|(name, schema)| parameter("path", &name, true, schema))
        .collect();
    let done = if spec.is_web_socket() {
        json!({ "description": "A WebSocket." })
    } else if spec.stream == Some(StreamKind::Events) {
        let event = generator.subschema_for::<Event>().to_value();
        json!({
            "description": "Server-sent events without an end: `id` is the event's number, `data` is this.",
            "content": { "text/event-stream": { "schema": event } },
        })
    } else {
        let answer = (spec.answer_in)(generator).to_value();
        json!({
            "description": "Done.",
            "content": { "application/json": { "schema": answer } },
        })
    };
    let mut operation = json!({
        "operationId": spec.id,
        "description": about,
        "x-effect": format!("{:?}", spec.effect).to_lowercase(),
        "responses": {
            spec.status.to_string(): done,
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if spec.has_body() {
        let left: Vec<&String> = rest.keys().filter(|name| is_required(name)).collect();
        if !left.is_empty() {
            request.insert("required".into(), json!(left));
        }
        let needed = !left.is_empty();
        if !rest.is_empty() {
            request.insert("properties".into(), Value::Object(rest));
            let name = title.as_str().unwrap_or(spec.id).to_owned();
            operation["requestBody"] = json!({
                "required": needed,
                "content": { "application/json": { "schema": {
                    "$ref": format!("#/components/schemas/{name}"),
                } } },
            });
            bodies.insert(name, Value::Object(request));
        }
    } else {
        parameters.extend(rest.into_iter().map(|(name, schema)| {
            let needed = is_required(&name);
            parameter("query", &name, needed, schema)
        }));
    }
    if spec.is_tagged() {
        parameters.push(header(
            "If-None-Match",
            "The `ETag` of an answer that the caller has: where it is still so, it is not sent again.",
            json!({ "type": "string" }),
        ));
        operation["responses"][spec.status.to_string()]["headers"] = tag();
        operation["responses"]["304"] = json!({
            "description": "It is what the caller has; there is no body.",
            "headers": tag(),
        });
    }
    if spec.stream == Some(StreamKind::Events) {
        parameters.push(header(
            "Last-Event-ID",
            "The number of the last event that was heard; listening goes on behind it.",
            json!({ "type": "integer", "minimum": 0 }),
        ));
    }
    if spec.operation.is_some() {
        parameters.push(header(
            "Idempotency-Key",
            "Names this request: the same one again, within 24 hours, is not done again but \
             answered with the same operation. Another request under it is refused with 422.",
            json!({ "type": "string", "pattern": "^[!-~]{1,255}$" }),
        ));
        parameters.push(header(
            "Prefer",
            "`respond-async`: answer at once with 202 and the operation.",
            json!({ "type": "string" }),
        ));
        let accepted = generator.subschema_for::<OperationAnswer>().to_value();
        operation["responses"]["202"] = json!({
            "description": "It is written down and will be done. `Location` is the operation's.",
            "content": { "application/json": { "schema": accepted } },
        });
    }
    operation["parameters"] = Value::Array(parameters);
    operation
}

/// The header that a tagged answer has.
fn tag() -> Value {
    json!({ "ETag": {
        "description": "Changes whenever something in the answer does.",
        "required": true, "schema": { "type": "string" },
    } })
}

fn header(name: &str, about: &str, schema: Value) -> Value {
    json!({ "in": "header", "name": name, "required": false, "schema": schema, "description": about })
}

fn parameter(place: &str, name: &str, required: bool, mut schema: Value) -> Value {
    let about = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("description"));
    json!({
        "in": place, "name": name, "required": required, "schema": schema,
        "description": about.unwrap_or_default(),
    })
}

/// What is served beside the endpoints.
fn plain(page: Page) -> Value {
    let (about, kind) = match page {
        Page::Health => ("Whether the daemon is alive.", "application/json"),
        Page::Ready => (
            "Whether the engine and the store answer: 200, else 503.",
            "application/json",
        ),
        Page::OpenApi => ("This document.", "application/json"),
        Page::Docs => ("The same for people.", "text/html"),
        Page::Metrics => (
            "What the containers use and, for admins and viewers, how long operations take: for \
             Prometheus.",
            "text/plain",
        ),
    };
    let mut plain = json!({
        "description": about,
        "responses": {
            "200": { "description": "Done.", "content": { kind: {} } },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if page.is_open() {
        plain["security"] = json!([]);
    }
    plain
}
