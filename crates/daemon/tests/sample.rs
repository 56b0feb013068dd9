//! A request made from nothing but an endpoint's schema.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use containarium_contract::Spec;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    string::string_regex,
    test_runner::TestRunner,
};
use serde_json::{Map, Value};

/// One request: where it goes, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
}

/// Stands for an operation's id; there is none with it.
pub(crate) const OPERATION: &str = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC";

/// A request of this endpoint about `username`, with every field whose schema says enough.
pub(crate) fn sample(spec: &Spec, username: &str) -> Sample {
    with_fields(spec, username, sample_fields(spec, username))
}

/// Its fields.
pub(crate) fn sample_fields(spec: &Spec, username: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let properties = spec.request.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let value = if name == "username" {
            Some(username.into())
        } else if name == "id" {
            // Elsewhere it is a container's, and may be left out.
            let in_path = spec.path_fields().any(|field| field == "id");
            in_path.then(|| OPERATION.into())
        } else if name == "all" {
            // Neither all nor some is nothing to ask for.
            Some(true.into())
        } else {
            value(schema)
        };
        if let Some(value) = value {
            fields.insert(name.clone(), value);
        }
    }
    for required in spec
        .request
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = required.as_str().unwrap();
        assert!(
            fields.contains_key(name),
            "{}: no sample of the required `{name}`",
            spec.id
        );
    }
    fields
}

/// A request of this endpoint about `username`, with these fields where fields go.
pub(crate) fn with_fields(spec: &Spec, username: &str, mut fields: Map<String, Value>) -> Sample {
    let mut path = spec.path.to_owned();
    for name in spec.path_fields() {
        let given = fields.remove(name);
        let text = if name == "id" {
            OPERATION.to_owned()
        } else if name == "username" {
            username.to_owned()
        } else if name == "image" {
            // The image that is there and not the default, so that it can go.
            "local%3Adebian%2F13".to_owned()
        } else {
            let sample = given
                .filter(Value::is_string)
                .or_else(|| value(&spec.request["properties"][name]));
            let text = sample.as_ref().and_then(Value::as_str);
            let text = text.unwrap_or_else(|| panic!("{}: no sample of `{name}`", spec.id));
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
        };
        path = path.replace(&format!("{{{name}}}"), &text);
    }
    let method = spec.method.to_string();
    if spec.has_body() {
        return Sample {
            method,
            path,
            body: Some(Value::Object(fields).to_string()),
        };
    }
    let text = |value: Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let query: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    Sample {
        method,
        path,
        body: None,
    }
}

/// A value that this schema allows, where it says enough to make one that is also sensible.
fn value(schema: &Value) -> Option<Value> {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        return Some(default.clone());
    }
    let examples = schema.get("examples").and_then(Value::as_array);
    if let Some(example) = examples.and_then(|examples| examples.first()) {
        return Some(example.clone());
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let inner = pattern.trim_start_matches('^').trim_end_matches('$');
        let texts = string_regex(inner).unwrap();
        let text = texts
            .new_tree(&mut TestRunner::deterministic())
            .unwrap()
            .current();
        // An image must be there, too.
        return Some(if pattern.contains(':') {
            "local:debian/12".into()
        } else {
            text.into()
        });
    }
    let choices = schema.get("enum").and_then(Value::as_array);
    choices.and_then(|choices| choices.iter().find(|choice| choice.is_string()).cloned())
}
