//! What is served beside the endpoints: the API's own description, and metrics for Prometheus.

use containarium_contract::Reason;
use containarium_core::Role;
use containarium_daemon::{openapi, specs};
use serde_json::Value;

use crate::installed::Installed;

/// Every `$ref` in `value`.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(all) => all.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_documented_api_is_this_one() {
    let document = openapi(&specs());
    expect_test::expect_file!["../../../../docs/openapi.json"]
        .assert_eq(&format!("{document:#}\n"));
}

#[test]
fn the_document_names_every_endpoint_and_nothing_that_is_not_there() {
    let document = openapi(&specs());
    for spec in specs() {
        let operation = &document["paths"][spec.path][spec.method.as_str().to_lowercase()];
        assert_eq!(operation["operationId"], spec.id);
        let parameters = operation["parameters"].as_array().unwrap();
        for field in spec.path_fields() {
            assert!(
                parameters
                    .iter()
                    .any(|p| p["name"] == field && p["in"] == "path"),
                "{} {field}",
                spec.id
            );
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = body["$ref"].as_str().unwrap_or("#").trim_start_matches('#');
        let body = &document.pointer(body).unwrap()["properties"];
        let fields = spec.request.get("properties").and_then(Value::as_object);
        for (field, schema) in fields.into_iter().flatten() {
            assert!(
                parameters.iter().any(|p| p["name"] == *field) || body[field] == *schema,
                "{} {field}",
                spec.id
            );
        }
    }
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(!all.is_empty());
    for reference in all {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served_to_everybody() {
    let here = Installed::new(221).await;
    let answer = here.daemon.ask("GET", "/openapi.json", None, None).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), openapi(&specs()));

    let page = here.daemon.ask("GET", "/docs", None, None).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    for spec in specs() {
        assert!(
            page.body
                .contains(&format!("<h2>{} {}", spec.method, spec.path)),
            "{}",
            spec.id
        );
    }
    for reason in Reason::ALL {
        assert!(
            page.body
                .contains(&format!("<code>{}</code>", reason.as_str())),
            "{reason:?}"
        );
    }
    assert!(!page.body.contains("<script") && !page.body.contains("http://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_of_the_callers_containers_and_of_nobody_elses() {
    let here = Installed::new(222).await.with_alice().await;
    let refused = here.daemon.ask("GET", "/metrics", None, None).await;
    assert_eq!(refused.status, 401);
    let scraped = here.daemon.ask_as_admin("GET", "/metrics", None).await;
    assert_eq!(scraped.status, 200);
    let lines: Vec<&str> = scraped.body.lines().collect();
    assert!(
        lines.contains(&"containarium_engine_up 1"),
        "{}",
        scraped.body
    );
    let state = r#"containarium_container_state{username="alice",owner="alice",state="running"} 1"#;
    assert!(lines.contains(&state), "{}", scraped.body);
    let memory = r#"containarium_container_memory_bytes{username="alice"} "#;
    assert!(
        lines.iter().any(|line| line.starts_with(memory)),
        "{}",
        scraped.body
    );
    // Each line is a comment or a name with labels and a number.
    for line in lines.iter().filter(|line| !line.starts_with("# ")) {
        let (_, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
    let bob = here.daemon.token("bob", &[Role::User]);
    let his = here.daemon.ask("GET", "/metrics", Some(&bob), None).await;
    assert_eq!(his.status, 200);
    assert!(!his.body.contains("alice"), "{}", his.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_a_metric_and_not_a_failure() {
    let here = Installed::new(223).await.with_alice().await;
    here.there.sim.hang(true);
    let scraped = here.daemon.ask_as_admin("GET", "/metrics", None).await;
    assert_eq!(scraped.status, 200, "{scraped:?}");
    assert!(
        scraped.body.contains("containarium_engine_up 0\n"),
        "{}",
        scraped.body
    );
}
