//! Every field of every endpoint, enumerated from the schemas: of a wrong type, empty, too long, and
//! beside one that nobody knows. Each is refused by name, and nothing is made or changed.

use containarium_contract::Spec;
use containarium_daemon::specs;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::{
    installed::Installed,
    sample::{Sample, sample_fields, with_fields},
};

/// Whether the schema takes a value of this JSON type.
fn takes(field: &Value, kind: &str) -> bool {
    match &field["type"] {
        Value::String(one) => one == kind || (one == "number" && kind == "integer"),
        Value::Array(several) => several.iter().any(|one| one == kind),
        // A choice, or nothing is said: the type's own parser decides.
        _ => {
            let choices = field["anyOf"].as_array().or(field["oneOf"].as_array());
            choices.is_some_and(|all| all.iter().any(|one| takes(one, kind)))
                || field["enum"].is_array() && kind == "string"
                || field["const"].is_string() && kind == "string"
        }
    }
}

/// Values that this field cannot have, whatever else it takes.
fn wrong(field: &Value, in_text: bool) -> Vec<Value> {
    let long = "a".repeat(if in_text { 4000 } else { 70_000 });
    let mut wrong = Vec::new();
    if in_text {
        // In a path or query all is text: what is no number and no truth value.
        if !takes(field, "string") {
            wrong.extend([
                json!("x"),
                json!(""),
                json!("[]"),
                json!("1.5"),
                json!("\"true\""),
            ]);
            wrong.push(json!(if takes(field, "boolean") { "1" } else { "true" }));
        }
    } else {
        for (kind, value) in [
            ("boolean", json!(true)),
            ("integer", json!(7)),
            ("number", json!(1.5)),
            ("array", json!([[]])),
            ("object", json!({"x": []})),
        ] {
            if !takes(field, kind) {
                wrong.push(value);
            }
        }
        if !takes(field, "string") {
            wrong.push(json!("x"));
        }
    }
    if takes(field, "string") {
        wrong.extend([
            json!(""),
            json!(long),
            json!("a\u{0}b"),
            json!("\u{202e}\n"),
        ]);
    }
    if takes(field, "integer") && !in_text {
        wrong.extend([json!(-1), json!(1.5), json!(u64::MAX)]);
    }
    if takes(field, "array") {
        let items = &field["items"];
        wrong.extend(
            self::wrong(items, false)
                .into_iter()
                .map(|item| json!([item])),
        );
    }
    if takes(field, "object") && field["properties"].is_object() {
        wrong.push(json!({"nosuch": 1}));
        for (name, inner) in field["properties"].as_object().unwrap() {
            let inner = self::wrong(inner, false);
            wrong.extend(inner.into_iter().map(|value| json!({name: value})));
        }
    }
    wrong
}

/// The request of this endpoint with `value` as its `name`.
fn request(spec: &Spec, name: &str, value: &Value) -> Sample {
    let mut fields = sample_fields(spec, "alice");
    if !spec.path_fields().any(|field| field == name) {
        fields.insert(name.to_owned(), value.clone());
        return with_fields(spec, "alice", fields);
    }
    let text = value.as_str().map_or(value.to_string(), str::to_owned);
    let text = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let mark = "MARK";
    let mut sample = with_fields(
        &Spec {
            path: Box::leak(
                spec.path
                    .replace(&format!("{{{name}}}"), mark)
                    .into_boxed_str(),
            ),
            ..spec.clone()
        },
        "alice",
        {
            fields.remove(name);
            fields
        },
    );
    sample.path = sample.path.replace(mark, &text);
    sample
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_that_cannot_be_is_named_and_nothing_comes_of_it() {
    let here = Installed::new(233).await;
    let mut asked = 0;
    for spec in specs() {
        let none = Map::new();
        let properties = spec.request.get("properties").and_then(Value::as_object);
        for (name, field) in properties.unwrap_or(&none) {
            let in_path = spec.path_fields().any(|known| known == name);
            let in_text = in_path || !spec.has_body();
            for value in wrong(field, in_text) {
                let sample = request(&spec, name, &value);
                let answer = here
                    .daemon
                    .ask(
                        &sample.method,
                        &sample.path,
                        Some(&here.daemon.admin_token()),
                        sample.body.as_deref(),
                    )
                    .await;
                let shown: String = value.to_string().chars().take(60).collect();
                let what = format!("{} `{name}` = {shown}: {answer:?}", spec.id);
                // An empty segment is another path.
                let is_empty_segment = in_path && value == json!("");
                let expected: &[u16] = if is_empty_segment {
                    &[400, 404, 405, 422]
                } else {
                    &[400, 422]
                };
                assert!(expected.contains(&answer.status), "{what}");
                let body = answer.json();
                assert_eq!(body["code"], answer.status, "{what}");
                let sentence = body["error"].as_str().unwrap();
                assert!(
                    is_empty_segment || sentence.contains(name.as_str()),
                    "{what}"
                );
                assert!(sentence.len() < 1000, "{what}");
                assert!(!sentence.chars().any(char::is_control), "{what}");
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
    here.must_be_empty().await;
}
