//! The OpenAPI document as one plain page for people: no script, nothing fetched from elsewhere.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null, and takes a new one"
)]

use std::fmt::Write as _;

use containarium_contract::Reason;
use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}\
code,h2{font-family:ui-monospace,monospace}h2{font-size:1.05rem;margin-top:2rem}@media(prefers-color-scheme:dark){\
body{background:#111;color:#ddd}a{color:#8bf}td,th{border-color:#444}}";

/// The page of `document`.
pub(crate) fn page(document: &Value) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Containarium's REST API</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\n\
         <h1>Containarium {}</h1>\n<p>{}</p>\n\
         <p>Every request but those marked open carries <code>Authorization: Bearer TOKEN</code>; on the server, \
         <code>containarium token generate --username you --roles admin</code> makes one. \
         For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).</p>\n",
        text(&document["info"]["version"]),
        text(&document["info"]["description"]),
    );
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            endpoint(&mut page, document, path, method, operation);
        }
    }
    page += "<h2 id=\"problems\">When it fails</h2>\n<p>Always JSON: <code>error</code> says what is so, \
             <code>hint</code> what to do next, <code>reason</code> is one of these.</p>\n<table>\
             <tr><th>reason</th><th>status</th><th>means</th></tr>\n";
    for reason in Reason::ALL {
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            reason.as_str(),
            reason.status(),
            escaped(&reason.about())
        );
    }
    page + "</table>\n"
}

fn endpoint(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let open = if operation["security"].is_array() {
        " (open)"
    } else {
        ""
    };
    let _ = writeln!(
        page,
        "<h2>{} {}{open}</h2>\n<p>{}</p>",
        escaped(&method.to_uppercase()),
        escaped(path),
        text(&operation["description"])
    );
    let mut rows = String::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let required = parameter["required"] == true;
        rows += &row(
            &parameter["name"],
            &text(&parameter["in"]),
            required,
            &parameter["schema"],
            &parameter["description"],
        );
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = resolved(document, body);
    for (name, schema) in body["properties"].as_object().into_iter().flatten() {
        let required = body["required"].as_array();
        let required = required.is_some_and(|names| names.contains(&Value::from(name.as_str())));
        let name = Value::from(name.as_str());
        rows += &row(&name, "body", required, schema, &schema["description"]);
    }
    if !rows.is_empty() {
        let _ = writeln!(
            page,
            "<table><tr><th>field</th><th>in</th><th>type</th><th>unless given</th><th></th></tr>\n{rows}</table>"
        );
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let schema = resolved(document, &response["content"]["application/json"]["schema"]);
        let Some(keys) = schema["properties"].as_object() else {
            continue;
        };
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, schema)| {
                let about = resolved(document, schema)["description"].clone();
                let about = schema.get("description").cloned().unwrap_or(about);
                format!("<code>{}</code>: {}", escaped(key), text(&about))
            })
            .collect();
        let _ = writeln!(page, "<p>{status}: {}</p>", keys.join("; "));
    }
}

fn row(name: &Value, place: &str, required: bool, schema: &Value, about: &Value) -> String {
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds
                .filter(|k| *k != "null")
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "one of a set".to_owned(),
    };
    let default = match schema.get("default") {
        _ if required => "required".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(value) => value.to_string(),
    };
    format!(
        "<tr><td><code>{}</code></td><td>{place}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        text(name),
        escaped(&kind),
        escaped(&default),
        text(about)
    )
}

/// What a reference points at, or the schema itself.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let target = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    target
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(schema)
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
