//! JSON Schemas as every client takes them. What they describe is said by the types.
//!
//! Clients differ in what they bear: some print a line for every format they do not know, some drop
//! a tool whose arguments have a list of types or a composition. So what a type's schema says in
//! those ways is said here in the plainest way that is still true.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::untrusted;

/// The schema that arguments are held against: exact, with everything that is accepted.
pub(crate) fn accepted<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(SchemaSettings::for_deserialize)
}

/// The schema of arguments that a client is shown: one type for each.
pub(crate) fn shown<T: JsonSchema>() -> Map<String, Value> {
    let mut schema = accepted::<T>();
    tidy(&mut schema, Way::In);
    schema.remove("title");
    schema.remove("description");
    schema
        .entry("properties")
        .or_insert_with(|| Value::Object(Map::new()));
    schema
}

/// The schema of an answer. What a change answers is `whole` in the answers of the tools that look: its
/// own says of each field only what it is, since some clients read no list of tools beyond 64 KiB.
pub(crate) fn answer<T: JsonSchema>(whole: bool) -> Map<String, Value> {
    let mut schema = of::<T>(SchemaSettings::for_serialize);
    tidy(&mut schema, Way::Out);
    if !whole {
        fields(&mut schema).for_each(|field| fields(field).for_each(without_words));
    }
    untrusted::announce(&mut schema);
    schema.remove("title");
    schema.remove("description");
    schema
}

fn of<T: JsonSchema>(contract: fn(SchemaSettings) -> SchemaSettings) -> Map<String, Value> {
    let settings = contract(SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    }));
    match settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
    {
        Value::Object(schema) => schema,
        other => unreachable!("arguments and answers are structs, not {other}"),
    }
}

/// For a field whose type has an example that a model must not take for a value.
pub(crate) fn without_example(schema: &mut schemars::Schema) {
    schema.remove("examples");
}

/// The schemas of a schema's fields; of a list, those of what is in it.
fn fields<'s>(
    schema: &'s mut Map<String, Value>,
) -> Box<dyn Iterator<Item = &'s mut Map<String, Value>> + 's> {
    let is_list = schema.contains_key("items");
    let name = if is_list { "items" } else { "properties" };
    let inner = schema.get_mut(name).and_then(Value::as_object_mut);
    if is_list {
        return Box::new(inner.into_iter().flat_map(fields));
    }
    let inner = inner.into_iter().flat_map(Map::values_mut);
    Box::new(inner.filter_map(Value::as_object_mut))
}

/// Takes away what is said of a schema and of all that is in it.
fn without_words(schema: &mut Map<String, Value>) {
    schema.remove("description");
    fields(schema).for_each(without_words);
}

/// Which way the data goes that a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

fn tidy(schema: &mut Map<String, Value>, way: Way) {
    // `uint32` and the like are Rust's, and no format of JSON Schema.
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(names) = schema.get("oneOf").and_then(names) {
        schema.remove("oneOf");
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), names);
    }
    match way {
        // A number where text is asked for is taken too, but not every client may be told so.
        Way::In => {
            if let Some(Value::Array(types)) = schema.get("type") {
                let first = types.first().cloned();
                schema.extend(first.map(|first| ("type".to_owned(), first)));
            }
        }
        // What a later daemon adds is no reason to refuse its answer; what it promises of a value
        // is of no use to who only reads it.
        Way::Out => {
            for promise in [
                "additionalProperties",
                "default",
                "examples",
                "maxLength",
                "minimum",
                "pattern",
            ] {
                schema.remove(promise);
            }
        }
    }
    if let (Way::Out, Some(Value::Object(properties))) = (way, schema.get_mut("properties")) {
        untrusted::describe(properties);
    }
    // Whatever JSON it is, of ours it is an object; a schema that says nothing is one that clients warn of.
    if way == Way::Out && schema.keys().all(|key| key == "description") {
        schema.insert("type".into(), "object".into());
    }
    map_of_any_key(schema);
    absent_is_not_null(schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|p| tidy(p, way));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(name) {
            // The docs of a newtype, which say of one what the field says of all.
            inner.remove("description");
            inner.remove("examples");
            tidy(inner, way);
        }
    }
}

/// Says of a map only what its values are: few clients know `patternProperties`.
fn map_of_any_key(schema: &mut Map<String, Value>) {
    if let Some(Value::Object(patterns)) = schema.remove("patternProperties")
        && let Some((_, values)) = patterns.into_iter().next()
    {
        schema.insert("additionalProperties".into(), values);
    }
}

/// A field that need not be there is left out and never null, which Rust's `Option` would allow.
fn absent_is_not_null(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| {
        required
            .as_array()
            .is_some_and(|r| r.iter().any(|r| r == name))
    };
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties {
        let Value::Object(property) = property else {
            continue;
        };
        if is_required(name) {
            continue;
        }
        if property.get("default") == Some(&Value::Null) {
            property.remove("default");
        }
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                property.insert("type".into(), one);
            }
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type") != Some(&"null".into()));
            if let [Value::Object(one)] = choices.as_slice() {
                let one = one.clone();
                property.remove("anyOf");
                // The field's own words come before its type's.
                one.into_iter().for_each(|(key, value)| {
                    property.entry(key).or_insert(value);
                });
            }
        }
    }
}

/// The names of an enum whose variants have docs of their own and nothing else.
fn names(variants: &Value) -> Option<Value> {
    let variants = variants.as_array()?;
    let names = variants.iter().map(|variant| variant.get("const").cloned());
    names.collect::<Option<Vec<_>>>().map(Value::Array)
}
