//! From JSON as somebody sent it to a request, or to a problem that names the field.
//!
//! Two stages, because they fail differently: the shape (400: unknown or mistyped field) is held
//! against the schema, the values (422: outside their grammar) are parsed by their own types.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Problem, Reason};

/// Reads `value` as a `T` whose JSON Schema is `schema`; keys may be camelCase or snake_case.
pub fn accept<T: DeserializeOwned>(
    schema: &Map<String, Value>,
    mut value: Value,
) -> Result<T, Problem> {
    fit(schema, &mut value, "")?;
    serde_path_to_error::deserialize(value).map_err(|e| {
        let field = e.path().to_string();
        let sentence = format!("`{field}`: {}", plain(&e.into_inner()));
        Problem::new(Reason::InvalidValue, quotable(&sentence))
    })
}

/// Reads a path or query text as the JSON type that `schema` gives the field `key`.
pub fn read_text(schema: &Map<String, Value>, key: &str, text: &str) -> Value {
    let field = property(schema, key).map(|(_, field)| field);
    let wants = |name| field.is_some_and(|f| types(f).any(|t| t == name));
    if !wants("string") && ["integer", "number", "boolean"].into_iter().any(wants) {
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
    } else {
        Value::String(text.to_owned())
    }
}

/// serde adds a line and column that mean nothing for a value in memory.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Renames snake_case keys, and refuses what the schema does not have or has as another type.
fn fit(schema: &Map<String, Value>, value: &mut Value, at: &str) -> Result<(), Problem> {
    if !types(schema).any(|t| is_a(value, t)) && types(schema).next().is_some() {
        let wanted: Vec<&str> = types(schema).filter(|t| *t != "null").collect();
        return Err(malformed(format!(
            "`{}` must be {}, not {}",
            if at.is_empty() { "body" } else { at },
            wanted.join(" or "),
            kind(value)
        )));
    }
    match value {
        Value::Object(fields) => fit_object(schema, fields, at),
        Value::Array(items) => {
            let Some(Value::Object(of)) = schema.get("items") else {
                return Ok(());
            };
            (0..)
                .zip(items)
                .try_for_each(|(i, item): (usize, _)| fit(of, item, &format!("{at}[{i}]")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn fit_object(
    schema: &Map<String, Value>,
    fields: &mut Map<String, Value>,
    at: &str,
) -> Result<(), Problem> {
    if let Some(of) = map_values(schema) {
        // A map: its keys are the caller's own, and their grammar their type's business.
        return fields
            .iter_mut()
            .try_for_each(|(key, value)| fit(of, value, &join(at, key)));
    }
    for (key, mut value) in std::mem::take(fields) {
        let Some((name, field)) = property(schema, &key) else {
            return Err(unknown(schema, &join(at, &key), &key));
        };
        fit(field, &mut value, &join(at, &key))?;
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(malformed(format!("`{}` is given twice", join(at, &key))));
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(malformed(format!("`{}` is required", join(at, name))));
        }
    }
    Ok(())
}

/// The schema of a map's values, where the schema is that of a map.
fn map_values(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let by_pattern = schema.get("patternProperties").and_then(Value::as_object);
    let values = by_pattern.and_then(|patterns| patterns.values().next());
    values
        .or_else(|| schema.get("additionalProperties"))?
        .as_object()
}

/// The property that `key` means, under its own name or its snake_case spelling.
fn property<'s>(
    schema: &'s Map<String, Value>,
    key: &str,
) -> Option<(&'s str, &'s Map<String, Value>)> {
    let properties = schema.get("properties")?.as_object()?;
    let (name, field) = properties
        .iter()
        .find(|(name, _)| *name == key || snake_case(name) == key)?;
    Some((name, field.as_object()?))
}

fn unknown(schema: &Map<String, Value>, path: &str, key: &str) -> Problem {
    let names = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&String> = names.into_iter().flat_map(|p| p.keys()).collect();
    let near = names
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
    let shown: String = path.chars().take(80).collect();
    let problem = malformed(format!("there is no field `{}`", shown.escape_debug()));
    match near {
        Some(near) if strsim::jaro_winkler(near, key) > 0.7 => {
            problem.with_hint(format!("did you mean `{near}`?"))
        }
        Some(_) | None if names.is_empty() => problem.with_hint("this request takes no fields"),
        Some(_) | None => {
            let names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
            problem.with_hint(format!("the fields are {}", names.join(", ")))
        }
    }
}

fn malformed(sentence: String) -> Problem {
    Problem::new(Reason::Malformed, quotable(&sentence))
}

/// The longest sentence that quotes somebody, characters.
const LONGEST: usize = 600;

/// A sentence that quotes what somebody sent, made safe to print: without what a terminal obeys or a
/// reader does not see, and with its middle left out where it is long.
pub fn quotable(sentence: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::new();
    for c in sentence.chars() {
        if unseen(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    let length = shown.chars().count();
    if length <= LONGEST {
        return shown;
    }
    let half = LONGEST / 2;
    let head: String = shown.chars().take(half).collect();
    let tail: String = shown.chars().skip(length - half).collect();
    format!("{head} […] {tail}")
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

fn types(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Value::String(name)) => (Some(name.as_str()), None),
        Some(Value::Array(names)) => (None, Some(names)),
        _ => (None, None),
    };
    one.into_iter()
        .chain(many.into_iter().flatten().filter_map(Value::as_str))
}

fn is_a(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(n) => name == "number" || (name == "integer" && (n.is_u64() || n.is_i64())),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateContainer, ListContainers, Spec};
    use serde_json::json;

    fn create(value: Value) -> Result<CreateContainer, Problem> {
        accept(&Spec::of::<CreateContainer>().request, value)
    }

    #[test]
    fn both_spellings_are_one_request() {
        let camel = create(json!({"username": "alice", "sshKeys": [], "enableDocker": false}));
        let snake = create(json!({"username": "alice", "ssh_keys": [], "enable_docker": false}));
        assert_eq!(camel.unwrap(), snake.unwrap());
    }

    #[test]
    fn shape_is_400_and_value_is_422_and_both_name_the_field() {
        for (sent, code, field) in [
            (json!({}), 400, "username"),
            (json!([]), 400, "body"),
            (json!({"username": 1}), 400, "username"),
            (json!({"username": "alice", "memroy": "4GB"}), 400, "memroy"),
            (
                json!({"username": "alice", "resources": {"cpus": 4}}),
                400,
                "resources.cpus",
            ),
            (
                json!({"username": "alice", "resources": {"cpu": 4.5}}),
                400,
                "resources.cpu",
            ),
            (json!({"username": "alice", "sshKeys": "x"}), 400, "sshKeys"),
            (
                json!({"username": "alice", "sshKeys": [1]}),
                400,
                "sshKeys[0]",
            ),
            (
                json!({"username": "alice", "labels": {"a": 1}}),
                400,
                "labels.a",
            ),
            (
                json!({"username": "alice", "ssh_keys": [], "sshKeys": []}),
                400,
                "twice",
            ),
            (json!({"username": ".."}), 422, "username"),
            (
                json!({"username": "alice", "resources": {"cpu": 0}}),
                422,
                "resources.cpu",
            ),
            (
                json!({"username": "alice", "resources": {"memory": "4G"}}),
                422,
                "resources.memory",
            ),
            (
                json!({"username": "alice", "sshKeys": ["junk"]}),
                422,
                "sshKeys[0]",
            ),
            (
                json!({"username": "alice", "image": "https://x/y"}),
                422,
                "image",
            ),
            (
                json!({"username": "alice", "labels": {"A b": "x"}}),
                422,
                "labels",
            ),
        ] {
            let problem = create(sent.clone()).unwrap_err();
            assert_eq!(problem.code, code, "{sent}: {problem:?}");
            assert!(problem.error.contains(field), "{sent}: {problem:?}");
        }
    }

    #[test]
    fn what_somebody_sent_is_quoted_so_that_it_can_be_printed() {
        assert_eq!(quotable("plain ä `x`"), "plain ä `x`");
        assert_eq!(
            quotable("a\u{1b}[31m\u{202e}b\n"),
            r"a\u{1b}[31m\u{202e}b\u{a}"
        );
        let long = quotable(&format!("begin {} end", "x".repeat(100_000)));
        assert!(long.starts_with("begin x") && long.ends_with("x end"));
        assert!(long.chars().count() < 620);
        let labels = json!({"username": "alice", "labels": {"\u{1b}\n": 1}});
        let told = create(labels).unwrap_err().error;
        assert_eq!(told, r"`labels.\u{1b}\u{a}` must be string, not number");
    }

    #[test]
    fn labels_keep_their_own_keys() {
        let taken = create(json!({"username": "alice", "labels": {"my_team": "x y"}})).unwrap();
        assert_eq!(
            taken.labels,
            [("my_team".parse().unwrap(), "x y".parse().unwrap())].into()
        );
    }

    #[test]
    fn a_misspelt_field_is_told_its_neighbour() {
        let problem = create(json!({"username": "alice", "enabledocker": true})).unwrap_err();
        assert_eq!(
            problem.hint.as_deref(),
            Some("did you mean `enableDocker`?")
        );
    }

    #[test]
    fn a_query_is_read_by_its_schema() {
        let schema = Spec::of::<ListContainers>().request;
        assert_eq!(read_text(&schema, "limit", "5"), json!(5));
        assert_eq!(read_text(&schema, "limit", "five"), json!("five"));
        assert_eq!(read_text(&schema, "owner", "5"), json!("5"));
    }
}
