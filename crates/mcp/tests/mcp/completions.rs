//! What a person's client proposes while they type.

use serde_json::{Value, json};

use super::{
    daemon::{Daemon, OPERATION, answer, container},
    person::{ERAS, Era, Person},
};

/// A daemon with these containers.
async fn with_containers(names: Vec<String>) -> Daemon {
    Daemon::answering(move |asked| {
        let mut told = answer(asked);
        if asked.starts_with("GET /v1/containers") {
            let named = names.iter().map(|name| {
                let mut container = container();
                container["username"] = json!(name);
                container
            });
            told["containers"] = named.collect();
            told["totalCount"] = json!(names.len());
        }
        if asked == "GET /v1/images" {
            let image = |image: &str| {
                json!({"image": image, "dockerEnabled": true, "state": "ready", "default": false,
                       "outdated": false})
            };
            told["images"] = ["images:debian/12", "images:ubuntu/24.04", "local:mine"]
                .map(image)
                .into();
        }
        (200, told.to_string())
    })
    .await
}

async fn ada_alice_and_bob() -> Daemon {
    with_containers(["ada", "alice", "bob"].map(str::to_owned).into()).await
}

async fn proposed(person: &mut Person, of: &Value, argument: &str, typed: &str) -> Value {
    let argument = json!({"name": argument, "value": typed});
    let params = json!({"ref": of, "argument": argument});
    let told = person.asks("completion/complete", params).await;
    told["result"]["completion"].clone()
}

async fn before(daemon: &Daemon, era: Era) -> Person {
    let mut person = Person::with(daemon.client(), era, json!({})).await;
    person.greets().await;
    person
}

fn prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

fn template(uri: &str) -> Value {
    json!({"type": "ref/resource", "uri": uri})
}

#[tokio::test]
async fn what_begins_as_it_is_typed_is_proposed() {
    let team = prompt("onboard_team");
    for era in ERAS {
        let daemon = ada_alice_and_bob().await;
        let mut person = before(&daemon, era).await;
        for (of, argument, typed, values) in [
            (&team, "usernames", "", json!(["ada", "alice", "bob"])),
            (&team, "usernames", "a", json!(["ada", "alice"])),
            (&team, "usernames", "b", json!(["bob"])),
            (&team, "usernames", "lice", json!([])),
            // Of a list the last one is being typed.
            (&team, "usernames", "bob, al", json!(["bob, alice"])),
            (
                &team,
                "usernames",
                "bob,a",
                json!(["bob, ada", "bob, alice"]),
            ),
            (
                &team,
                "image",
                "images:",
                json!(["images:debian/12", "images:ubuntu/24.04"]),
            ),
            (&team, "image", "local", json!(["local:mine"])),
            (&team, "wishes", "a", json!([])),
            (
                &template("container://{username}"),
                "username",
                "al",
                json!(["alice"]),
            ),
            (
                &template("container://{username}/metrics"),
                "username",
                "b",
                json!(["bob"]),
            ),
            (
                &template("container://{username}/events"),
                "username",
                "z",
                json!([]),
            ),
            (
                &template("operation://{id}"),
                "id",
                "01JD",
                json!([OPERATION]),
            ),
            (&template("operation://{id}"), "id", "02", json!([])),
            (&template("file://{path}"), "path", "", json!([])),
        ] {
            let told = proposed(&mut person, of, argument, typed).await;
            assert_eq!(told["values"], values, "{era:?} {of} {argument} {typed:?}");
        }
    }
}

#[tokio::test]
async fn of_many_the_first_hundred_are_proposed_and_all_are_counted() {
    let daemon = with_containers((0..150).map(|n| format!("a{n:03}")).collect()).await;
    let mut person = before(&daemon, Era::Metadata).await;
    let told = proposed(&mut person, &prompt("onboard_team"), "usernames", "a").await;
    assert_eq!(told["values"].as_array().unwrap().len(), 100);
    assert_eq!(
        (&told["total"], &told["hasMore"]),
        (&json!(150), &json!(true))
    );
}

#[tokio::test]
async fn where_the_daemon_does_not_say_nothing_is_proposed() {
    let daemon = Daemon::answering(|_| (503, "{}".to_owned())).await;
    let mut person = before(&daemon, Era::Metadata).await;
    for (of, argument) in [
        (prompt("onboard_team"), "usernames"),
        (prompt("onboard_team"), "image"),
        (template("container://{username}"), "username"),
        (template("operation://{id}"), "id"),
    ] {
        let told = proposed(&mut person, &of, argument, "a").await;
        assert_eq!(told["values"], json!([]), "{of}");
    }
}
