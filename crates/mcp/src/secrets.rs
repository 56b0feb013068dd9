//! Secrets in text: masked where they would be shown, refused where they would be kept.

use containarium_contract::{Problem, Reason};
use rmcp::model::JsonObject;
use serde_json::Value;

/// The text with tokens and private keys masked.
pub(crate) fn mask(text: &str) -> String {
    without_tokens(&without_private_keys(text))
}

/// Refuses arguments with a token or a private key in them: what is written into a label is shown to
/// everybody who may look.
pub(crate) fn refuse(arguments: &JsonObject) -> Result<(), Problem> {
    for (name, value) in arguments {
        if is_in(value) {
            let sentence =
                format!("`{name}` holds a token or a private key, which is kept nowhere");
            return Err(Problem::new(Reason::InvalidValue, sentence).with_hint(
                "leave it out; ssh_keys and key take public keys, of files that end in .pub",
            ));
        }
    }
    Ok(())
}

fn is_in(value: &Value) -> bool {
    match value {
        Value::String(text) => looks_like_a_token(text) || text.contains("PRIVATE KEY-----"),
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(fields) => fields.values().any(is_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Three parts, the first of which is the header of a JWT.
fn looks_like_a_token(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        let token = text.get(at..).unwrap_or_default();
        let end = token.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
        let token = token.get(..end.unwrap_or(token.len())).unwrap_or_default();
        token.split('.').filter(|part| part.len() > 8).count() >= 3
    })
}

/// Masks whatever starts like a JWT's header.
fn without_tokens(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "_-.=".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("eyJ") {
        out.push_str(before);
        out.push_str("eyJ***");
        rest = from.trim_start_matches(is_token);
    }
    out + rest
}

/// Masks from `-----BEGIN … PRIVATE KEY-----` to its end, or to the end of the text it is in.
fn without_private_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const KEY: &str = "PRIVATE KEY-----";
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(KEY) {
        let Some((kept, _)) = before.rsplit_once(BEGIN) else {
            out.push_str(before);
            out.push_str(KEY);
            rest = from;
            continue;
        };
        out.push_str(kept);
        out.push_str("*** PRIVATE KEY ***");
        let end = from.find(KEY).map(|at| at + KEY.len());
        let end = end.or_else(|| from.find('"')).unwrap_or(from.len());
        rest = from.get(end..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_in_an_argument_is_refused_and_not_repeated() {
        let secret = "eyJhbGciOiJI.eyJzdWIiOiJh.c2lnbmF0dXJl";
        for value in [
            json!({"labels": {"note": secret}}),
            json!({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"]}),
        ] {
            let Value::Object(arguments) = value else {
                panic!()
            };
            let problem = refuse(&arguments).unwrap_err();
            assert!(!problem.error.contains(secret) && !problem.error.contains("b3Bl"));
        }
        let Value::Object(fine) = json!({"labels": {"note": "eyJ is how they begin"}}) else {
            panic!()
        };
        assert!(refuse(&fine).is_ok());
    }
}
