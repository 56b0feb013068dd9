//! A request as HTTP: its path filled in, the rest as query or body. Not how it is sent.

use containarium_contract::{Endpoint, Method, Stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};

/// What of a request goes where.
#[derive(Debug, PartialEq)]
pub(crate) struct Projection {
    /// The path with its fields filled in, percent-encoded.
    pub(crate) path: String,
    /// The fields that are not in the path.
    pub(crate) rest: Rest,
}

/// How the fields that are not in the path travel.
#[derive(Debug, PartialEq)]
pub(crate) enum Rest {
    /// As a JSON object; an empty one too, so that the daemon always sees the same shape.
    Body(Map<String, Value>),
    /// As the pairs of a query.
    Query(Vec<(String, String)>),
}

impl Projection {
    /// Projects `request`; an error is a fault of the request's type.
    pub(crate) fn of<E: Endpoint>(request: &E) -> Result<Self, serde_json::Error> {
        let in_body = [Method::POST, Method::PUT, Method::PATCH].contains(&E::METHOD);
        Self::onto(E::PATH, in_body, request)
    }

    /// The same for a stream.
    pub(crate) fn of_stream<S: Stream>(request: &S) -> Result<Self, serde_json::Error> {
        Self::onto(S::PATH, false, request)
    }

    fn onto(
        template: &str,
        in_body: bool,
        request: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let mut fields: Map<String, Value> =
            serde_json::from_value(serde_json::to_value(request)?)?;
        let path = template
            .split('/')
            .map(|part| {
                match part
                    .strip_prefix('{')
                    .and_then(|part| part.strip_suffix('}'))
                {
                    Some(name) => {
                        let value = fields.remove(name).map(text).unwrap_or_default();
                        utf8_percent_encode(&value, UNRESERVED).to_string()
                    }
                    None => part.to_owned(),
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        let rest = if in_body {
            Rest::Body(fields)
        } else {
            Rest::Query(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, text(value)))
                    .collect(),
            )
        };
        Ok(Self { path, rest })
    }
}

/// RFC 3986: what need not be encoded in a path's segment.
const UNRESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containarium_contract::{
        DeleteContainer, Effect, GetSystemInfo, ListContainers, StartContainer, State,
    };
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    fn query(pairs: &[(&str, &str)]) -> Rest {
        Rest::Query(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_post_without_fields_sends_an_empty_object() {
        let start = StartContainer {
            username: "alice".parse().unwrap(),
        };
        let sent = Projection::of(&start).unwrap();
        assert_eq!(sent.path, "/v1/containers/alice/start");
        assert_eq!(sent.rest, Rest::Body(Map::new()));
    }

    #[test]
    fn a_delete_sends_its_fields_in_the_query() {
        let delete = DeleteContainer {
            username: "alice".parse().unwrap(),
            force: true,
            purge: false,
            id: None,
            only_kept: false,
        };
        let sent = Projection::of(&delete).unwrap();
        assert_eq!(sent.path, "/v1/containers/alice");
        assert_eq!(sent.rest, query(&[("force", "true")]));
    }

    #[test]
    fn absent_filters_are_not_sent() {
        assert_eq!(Projection::of(&GetSystemInfo {}).unwrap().rest, query(&[]));
        let list = ListContainers {
            state: Some(State::Running),
            label: Some("team=red blue".parse().unwrap()),
            limit: std::num::NonZeroU32::new(5),
            ..ListContainers::default()
        };
        let wanted = [
            ("label", "team=red blue"),
            ("limit", "5"),
            ("state", "running"),
        ];
        let Rest::Query(mut pairs) = Projection::of(&list).unwrap().rest else {
            panic!("a body")
        };
        pairs.sort();
        assert_eq!(Rest::Query(pairs), query(&wanted));
    }

    #[test]
    fn a_path_field_cannot_leave_its_segment() {
        #[derive(Serialize, Deserialize, JsonSchema)]
        struct Probe {
            name: String,
        }
        impl Endpoint for Probe {
            const ID: &'static str = "probe";
            const METHOD: Method = Method::POST;
            const PATH: &'static str = "/v1/{name}/probe";
            const EFFECT: Effect = Effect::Read;
            type Answer = ();
        }
        let sent = Projection::of(&Probe {
            name: "../a b?c#d%".into(),
        })
        .unwrap();
        assert_eq!(sent.path, "/v1/..%2Fa%20b%3Fc%23d%25/probe");
        assert_eq!(
            json!({}),
            json!(match sent.rest {
                Rest::Body(b) => b,
                Rest::Query(_) => panic!(),
            })
        );
    }
}
