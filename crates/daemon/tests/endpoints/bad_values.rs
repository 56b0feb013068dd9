//! Names, keys and sizes that a container must never get. Nothing may be made of any of them.

use serde_json::{Value, json};

use crate::installed::Installed;

const GOOD_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";
const RSA_1024: &str = include_str!("../../../contract/tests/rsa-1024.pub");

/// Each of them is refused, as a value that names its field, and nothing is there afterwards.
async fn refused(here: &Installed, field: &str, requests: impl IntoIterator<Item = Value>) {
    for request in requests {
        let answer = here
            .daemon
            .ask_as_admin("POST", "/v1/containers", Some(request.clone()))
            .await;
        assert!([400, 422].contains(&answer.status), "{request}: {answer:?}");
        let body = answer.json();
        let sentence = body["error"].as_str().unwrap();
        assert!(sentence.contains(field), "{request}: {sentence}");
        let printable = |c: char| !c.is_control();
        assert!(sentence.chars().all(printable), "{request}: {sentence:?}");
    }
    here.must_be_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_mean_something_else_are_refused() {
    let here = Installed::new(211).await;
    let long = "a".repeat(32);
    let huge = "a".repeat(100_000);
    let names = [
        "",
        " ",
        ".",
        "..",
        "../../etc",
        "/",
        "a/b",
        "-rf",
        "-",
        "--help",
        "a-",
        "1a",
        "Alice",
        "al ice",
        "alice\n",
        "alice\nroot",
        "a\0b",
        "alice\r",
        "älice",
        "аlice",
        "a_b",
        "a.b",
        "$(id)",
        "`id`",
        "a;b",
        "a%2fb",
        "root",
        "daemon",
        "docker",
        "sudo",
        "nobody",
        "www-data",
        "ubuntu",
        "debian",
        "systemd-network",
        &long,
        &huge,
    ];
    refused(
        &here,
        "username",
        names.map(|name| json!({"username": name})),
    )
    .await;
    let kinds = [
        json!(null),
        json!(1),
        json!(true),
        json!(["alice"]),
        json!({"a": 1}),
    ];
    refused(
        &here,
        "username",
        kinds.map(|name| json!({"username": name})),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_a_path_are_refused_as_well() {
    let here = Installed::new(212).await;
    for name in [
        "%2e%2e", "-rf", "root", "a%0Ab", "a%00b", "%2Fetc", "Alice", "%ff", "a%20b",
    ] {
        for (method, after) in [
            ("GET", ""),
            ("DELETE", "?force=true"),
            ("POST", "/start"),
            ("POST", "/stop"),
        ] {
            let path = format!("/v1/containers/{name}{after}");
            let answer = here.daemon.ask_as_admin(method, &path, None).await;
            assert!(
                [400, 404, 422].contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{path}"
            );
        }
    }
    here.must_be_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_one_good_key_are_refused() {
    let here = Installed::new(213).await;
    let keys = [
        String::new(),
        "junk".into(),
        format!("{GOOD_KEY}\n{GOOD_KEY}"),
        format!("{GOOD_KEY}\rssh-ed25519 AAAA"),
        format!("{GOOD_KEY}\0"),
        format!("command=\"id\" {GOOD_KEY}"),
        format!("# {GOOD_KEY}"),
        RSA_1024.trim().to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----".into(),
        "ssh-ed25519 AAAA".into(),
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".into(),
        "x".repeat(200_000),
    ];
    let requests = keys.map(|key| json!({"username": "alice", "sshKeys": [GOOD_KEY, key]}));
    refused(&here, "sshKeys[1]", requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_in_one_line_are_one_key_with_a_comment() {
    let here = Installed::new(214).await;
    let both = format!("{GOOD_KEY} {RSA_1024}").trim().to_owned();
    let request = json!({"username": "alice", "sshKeys": [both]});
    let answer = here
        .daemon
        .ask_as_admin("POST", "/v1/containers", Some(request))
        .await;
    // What follows the first key is its comment, of which only harmless characters are kept.
    assert_eq!(answer.status, 201, "{answer:?}");
    let keys = answer.json()["container"]["sshKeys"].clone();
    let [Value::String(key)] = keys.as_array().unwrap().as_slice() else {
        panic!("{keys}")
    };
    let data = GOOD_KEY.strip_suffix("a@b").unwrap();
    let comment = key.strip_prefix(data).unwrap();
    assert!(!comment.contains(['\n', '/', '=', '#']), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_no_container_can_have_are_refused() {
    let here = Installed::new(215).await;
    let absurd = "9".repeat(400);
    for field in ["memory", "disk"] {
        let sizes = [
            json!(""),
            json!("0"),
            json!("0GB"),
            json!(0),
            json!(-1),
            json!("-4GB"),
            json!("4"),
            json!("1B"),
            json!("4.5GB"),
            json!("4 g b"),
            json!("4GB\n"),
            json!("4GB; rm"),
            json!("1e9"),
            json!("NaN"),
            json!("99999999999TB"),
            json!("18446744073709551616"),
            json!(absurd),
            json!(u64::MAX),
            json!(1e300),
            json!(4.5),
            json!([]),
            json!({}),
            json!(true),
        ];
        let of = |size| json!({"username": "alice", "resources": {field: size}});
        refused(&here, &format!("resources.{field}"), sizes.map(of)).await;
    }
    let cpus = [
        json!(""),
        json!("0"),
        json!(0),
        json!(-1),
        json!("-1"),
        json!("1.5"),
        json!(1.5),
        json!("all"),
        json!("0-3"),
        json!("4097"),
        json!(u64::MAX),
        json!(absurd),
        json!([1]),
        json!(false),
    ];
    refused(
        &here,
        "resources.cpu",
        cpus.map(|n| json!({"username": "alice", "resources": {"cpu": n}})),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_labels_outside_their_grammar_are_refused() {
    let here = Installed::new(216).await;
    let images = [
        "",
        "ubuntu",
        "https://x/y",
        "http:x",
        "local:",
        ":x",
        "local:../x",
        "local:a\nb",
        "file:/etc",
    ];
    refused(
        &here,
        "image",
        images.map(|image| json!({"username": "alice", "image": image})),
    )
    .await;
    let long = "x".repeat(256);
    let labels = [
        json!({"A b": "x"}),
        json!({"": "x"}),
        json!({"a": "x\ny"}),
        json!({"a": "\u{0}"}),
        json!({"a": long}),
        json!({"a": 1}),
        json!([]),
    ];
    refused(
        &here,
        "labels",
        labels.map(|labels| json!({"username": "alice", "labels": labels})),
    )
    .await;
}
