//! Requests that nobody would send who means well: none of them is our fault (5xx), each
//! gets a well-formed answer, and what is there afterwards is what answers said was made.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderValue, Method, Request, Uri, header},
};
use containarium_contract::{Spec, StreamKind};
use containarium_core::{Containarium, Principal, Role, Settings, Store, token};
use containarium_daemon::{Tunnels, router, specs};
use containarium_testkit::{Junk, Simulated, share_or_all};
use serde_json::{Map, Value};
use tower::ServiceExt as _;

use super::every_endpoint::WEBSOCKET;
use crate::sample::{Sample, sample_fields, with_fields};

/// How many are sent in CI, and in `make soak`.
const REQUESTS: [usize; 2] = [3_000, 10_000];
/// Whom well-formed requests are about.
const NAMES: &[&str] = &["alice", "bob", "carol"];

/// A request as it is sent.
struct Sent {
    method: String,
    uri: String,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Vec<u8>,
}

fn sent(junk: &mut Junk, specs: &[Spec], good_token: &str) -> Sent {
    let spec = junk.one(specs);
    let name = *junk.one(NAMES);
    let mut fields = sample_fields(spec, name);
    // One in eight is left as it is: what it makes is there for the others.
    for _ in 0..junk.below(8).min(3) {
        spoil(junk, spec, &mut fields);
    }
    let Sample {
        mut method,
        path: mut uri,
        body,
    } = with_fields(spec, name, fields.clone());
    if junk.once_in(4) {
        let text = junk.text();
        uri = spoilt_uri(junk, spec, &uri, &text);
    }
    if junk.once_in(10) {
        let methods = [
            "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get",
        ];
        method = (*junk.one(&methods)).to_owned();
    }
    let mut body = body.unwrap_or_default();
    if junk.once_in(6) {
        // A key given twice: which one counts must not matter for what we answer.
        let key = junk.one(&["username", "force", "resources", "key"]);
        let twice = format!("{{\"{key}\":{},", junk.value());
        body = body.replacen('{', &twice, 1);
    }
    let body = if junk.once_in(6) {
        junk.broken(&body)
    } else {
        body.into_bytes()
    };
    let mut headers = vec![(
        "authorization",
        HeaderValue::from_str(&format!("Bearer {good_token}")).unwrap(),
    )];
    if spec.is_web_socket() {
        let wanted = WEBSOCKET.map(|(name, value)| (name, HeaderValue::from_static(value)));
        headers.extend(wanted);
    }
    if junk.once_in(30) {
        let bad = junk.text();
        headers = vec![("authorization", header_value(&format!("Bearer {bad}")))];
    }
    let types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json;charset=latin1",
        "APPLICATION/JSON",
        "json",
    ];
    let kind = if junk.once_in(10) {
        *junk.one(&types)
    } else {
        "application/json"
    };
    headers.push(("content-type", header_value(kind)));
    for name in [
        "containarium-client",
        "idempotency-key",
        "prefer",
        "x-request-id",
        "accept",
        "host",
        "content-length",
        "last-event-id",
        "if-match",
    ] {
        if junk.once_in(20) {
            headers.push((name, header_value(&junk.text())));
        }
    }
    Sent {
        method,
        uri,
        headers,
        body,
    }
}

/// Changes one field into something else, takes one away, or adds one.
fn spoil(junk: &mut Junk, spec: &Spec, fields: &mut Map<String, Value>) {
    let properties = spec.request.get("properties").and_then(Value::as_object);
    let names: Vec<String> = properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default();
    match junk.below(6) {
        0 => {
            let name = junk.text();
            fields.insert(name, junk.value());
        }
        _ if names.is_empty() => {}
        1 => {
            let name = junk.one(&names).clone();
            fields.remove(&name);
        }
        2 => {
            // One level below: in an object or a list.
            let name = junk.one(&names).clone();
            match fields.get_mut(&name) {
                Some(Value::Object(inner)) => {
                    let keys: Vec<String> = inner.keys().cloned().collect();
                    if !keys.is_empty() {
                        let key = junk.one(&keys).clone();
                        inner.insert(key, junk.value());
                    }
                }
                Some(Value::Array(items)) => items.push(junk.value()),
                _ => {}
            }
        }
        _ => {
            let name = junk.one(&names).clone();
            fields.insert(name, junk.value());
        }
    }
}

fn spoilt_uri(junk: &mut Junk, spec: &Spec, uri: &str, text: &str) -> String {
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    match junk.below(9) {
        0 => format!("{uri}/{}", encoded(text)),
        1 => uri.replace("/v1", "/v1/"),
        2 => uri.replace("containers", "%63ontainers"),
        3 => {
            let bytes = [
                "%ff",
                "%00",
                "%2e%2e",
                "%2F",
                "%zz",
                "%",
                "%e2%80%ae",
                "%0d%0aX:y",
            ];
            NAMES.iter().fold(uri.to_owned(), |uri, name| {
                let other: &str = junk.one::<&str>(&bytes);
                uri.replace(name, other)
            })
        }
        4 => {
            let mut path = spec.path.to_owned();
            for field in spec.path_fields() {
                path = path.replace(&format!("{{{field}}}"), &encoded(&junk.text()));
            }
            path
        }
        5 => {
            let other = if uri.contains('?') { '&' } else { '?' };
            format!("{uri}{other}{}={}", encoded(text), encoded(&junk.text()))
        }
        6 => {
            let field = junk.one(&[
                "force", "limit", "state", "label", "cursor", "owner", "path",
            ]);
            let other = if uri.contains('?') { '&' } else { '?' };
            format!("{uri}{other}{field}={}&{field}=%ff", encoded(text))
        }
        7 => format!("/{}", encoded(text)),
        _ => format!("{uri}?{}", "&".repeat(junk.below(1000))),
    }
}

/// As many of the text's bytes as a header may hold.
fn header_value(text: &str) -> HeaderValue {
    let bytes: Vec<u8> = text.bytes().filter(|b| *b >= 32 && *b != 127).collect();
    HeaderValue::from_bytes(&bytes).unwrap()
}

async fn answer(router: &Router, sent: &Sent) -> Option<(u16, Option<HeaderValue>, Vec<u8>)> {
    // What is no method or URI at all never reaches us; hyper turns it away.
    let method = Method::from_bytes(sent.method.as_bytes()).ok()?;
    let uri: Uri = sent.uri.parse().ok()?;
    let mut request = Request::new(Body::from(sent.body.clone()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in &sent.headers {
        request.headers_mut().append(*name, value.clone());
    }
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = to_bytes(answer.into_body(), 16 << 20).await.unwrap();
    Some((status, kind, body.to_vec()))
}

fn get(uri: &str, token: &str) -> Sent {
    Sent {
        method: "GET".into(),
        uri: uri.to_owned(),
        headers: vec![("authorization", header_value(&format!("Bearer {token}")))],
        body: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_generated_request_is_our_fault() {
    let [few, all] = REQUESTS;
    let requests = share_or_all(few, all);
    let mut junk = Junk::new();
    let there = Simulated::on(234).await;
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    let secret = || b"a secret of this test and of no other".to_vec().into();
    let admin = Principal {
        subject: "admin".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hour = Duration::from_secs(3600);
    let minted = token::mint(&secret(), &admin, now.as_secs(), hour, ulid::Ulid::nil());
    let token = minted.unwrap();
    let router = router(core, secret(), Tunnels::default());
    let mut specs = specs();
    // It does not end, and so cannot be read to its end here.
    specs.retain(|spec| spec.stream != Some(StreamKind::Events));

    let begun = Instant::now();
    let mut statuses = std::collections::BTreeMap::new();
    let mut made = BTreeSet::new();
    let mut asked = 0;
    while asked < requests {
        let sent = sent(&mut junk, &specs, &token);
        let Some((status, kind, body)) = answer(&router, &sent).await else {
            continue;
        };
        asked += 1;
        *statuses.entry(status).or_insert(0) += 1;
        let text = String::from_utf8_lossy(&body).into_owned();
        let shown: String = String::from_utf8_lossy(&sent.body)
            .chars()
            .take(400)
            .collect();
        let headers = &sent.headers;
        let what = format!(
            "{} {} {headers:?} {shown:?}: {status} {text}",
            sent.method, sent.uri
        );
        assert!(status < 500, "{what}");
        if sent.method == "HEAD" {
            continue;
        }
        assert_eq!(kind.unwrap(), "application/json", "{what}");
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {what}"));
        if status >= 400 {
            assert_eq!(json["code"], status, "{what}");
            let sentence = json["error"].as_str().unwrap();
            assert!(!sentence.is_empty() && sentence.len() < 5000, "{what}");
            assert!(!sentence.chars().any(char::is_control), "{what}");
        } else if status == 201 {
            let name = json["container"]["username"].as_str().unwrap();
            made.insert(name.to_owned());
        } else if status == 202 {
            let id = json["operation"]["id"].as_str().unwrap();
            let wait = get(&format!("/v1/operations/{id}/wait?timeout=60"), &token);
            let (_, _, body) = answer(&router, &wait).await.unwrap();
            let done: Value = serde_json::from_slice(&body).unwrap();
            let done = &done["operation"];
            let name = done["target"].as_str().unwrap().to_owned();
            match (
                done["kind"].as_str().unwrap(),
                done["state"].as_str().unwrap(),
            ) {
                ("create" | "undelete", "succeeded") => made.insert(name),
                ("delete", "succeeded") => made.remove(&name),
                _ => false,
            };
        } else if json["container"].is_object() && sent.uri.contains("/undelete") {
            made.insert(json["container"]["username"].as_str().unwrap().to_owned());
        } else if let Some(name) = json["containerName"].as_str() {
            made.remove(name.strip_suffix("-container").unwrap());
        }
    }
    println!("{asked} requests in {:?}: {statuses:?}", begun.elapsed());
    // Not all of it is turned away at the door.
    let few = requests / 100;
    assert!(statuses[&200] > few && statuses[&422] > few, "{statuses:?}");

    let list = get("/v1/containers", &token);
    let (_, _, body) = answer(&router, &list).await.unwrap();
    let list: Value = serde_json::from_slice(&body).unwrap();
    let names = list["containers"].as_array().unwrap().iter();
    let names: BTreeSet<String> = names
        .map(|container| container["username"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, made);
    let mut instances = there.incus.instances().await.unwrap();
    instances.retain(|one| !one.config.contains_key("user.containarium.deleted"));
    assert_eq!(
        instances.len(),
        made.len(),
        "beside those that are deleted and kept"
    );
}
