//! What is mended in a client's message before the protocol's own types see it. Nothing is guessed
//! that changes what is asked.

use serde_json::{Value, json};

/// Fills in what an `initialize` typed by hand leaves out: `{"params":{}}` is enough to see whether
/// the server answers, as the handbook tells people to try.
pub(crate) fn complete_initialize(message: &mut Value) {
    if message.get("method") != Some(&json!("initialize")) {
        return;
    }
    let Some(fields) = message.as_object_mut() else {
        return;
    };
    let params = fields.entry("params").or_insert_with(|| json!({}));
    if params.is_null() {
        *params = json!({});
    }
    let Some(params) = params.as_object_mut() else {
        return;
    };
    for (name, value) in [
        // The newest that has this handshake.
        ("protocolVersion", json!("2025-11-25")),
        ("capabilities", json!({})),
        ("clientInfo", json!({"name": "unknown", "version": "0"})),
    ] {
        params.entry(name).or_insert(value);
    }
}

/// Whether `message` settles which era is spoken, after which notifications have somebody to go to.
pub(crate) fn opens_a_session(message: &Value) -> bool {
    let method = message
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let version = message.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion");
    method == "initialize" || (version.is_some() && method != "server/discover")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(mut message: Value) -> Value {
        complete_initialize(&mut message);
        message
    }

    #[test]
    fn an_empty_initialize_is_completed() {
        let full = json!({"id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "unknown", "version": "0"},
        }});
        for params in [json!({}), Value::Null] {
            let sent = json!({"id": 1, "method": "initialize", "params": params});
            assert_eq!(completed(sent), full);
        }
        assert_eq!(completed(json!({"id": 1, "method": "initialize"})), full);
    }

    #[test]
    fn what_a_client_says_is_left_alone() {
        let said = json!({"method": "initialize", "params": {
            "protocolVersion": "2024-11-05", "capabilities": {"roots": {}},
            "clientInfo": {"name": "c", "version": "1"},
        }});
        assert_eq!(completed(said.clone()), said);
        for other in [
            json!({"method": "tools/list"}),
            json!([1]),
            json!("initialize"),
            json!(1),
        ] {
            assert_eq!(completed(other.clone()), other);
        }
    }

    #[test]
    fn a_session_opens_with_initialize_or_a_request_that_names_its_version() {
        let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
        assert!(opens_a_session(&json!({"method": "initialize"})));
        assert!(opens_a_session(
            &json!({"method": "tools/list", "params": meta})
        ));
        assert!(!opens_a_session(
            &json!({"method": "server/discover", "params": meta})
        ));
        assert!(!opens_a_session(&json!({"method": "ping"})));
    }
}
