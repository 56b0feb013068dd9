//! Traps of Incus itself that no incusd in memory plays: they need a guest, a clock, or a name that is
//! changed, which this program never does. The others are in `crates/incus-sim/tests/conformance`.

use std::time::Duration;

use containarium_incus::{Client, Error, EventType, InstancePost, Operation, Source, StateChange};
use containarium_testkit::Bed;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(3);
/// How often what depends on the moment is tried.
const TRIES: u32 = 5;

/// A stopped instance of the installation's image, in its project.
async fn made(bed: &Bed, name: &str) -> Client {
    let incus = bed.incus();
    let default = bed.installation.default_image.as_str().replace(':', "/");
    let alias = format!("containarium/plain/{default}");
    let image = incus.image_alias(&alias).await.unwrap().target;
    let root = [
        ("type", "disk"),
        ("path", "/"),
        ("pool", &bed.installation.pool),
    ];
    let root = root.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let post = InstancePost {
        devices: [("root".to_owned(), root.into())].into(),
        ..InstancePost::new(name, Source::fingerprint(image))
    };
    let begun = incus.create_instance(&post).await.unwrap();
    incus.wait(&begun, LONG).await.unwrap();
    incus
}

async fn change(incus: &Client, name: &str, to: StateChange) -> Result<Operation, Error> {
    let begun = incus.change_state(name, &to).await?;
    incus.wait(&begun, LONG).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_start_is_lost_and_the_next_one_heard() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let incus = made(&bed, "a1").await;
    for attempt in 1.. {
        change(&incus, "a1", StateChange::start()).await.unwrap();
        match change(&incus, "a1", StateChange::stop(SHORT)).await {
            Err(Error::OperationFailed(text)) => {
                assert!(text.contains("context deadline exceeded"), "{text}");
                break;
            }
            Ok(_) if attempt < TRIES => {}
            other => panic!("{other:?}"),
        }
    }
    let there = incus.instance("a1").await.unwrap().value;
    assert!(there.status_code.is_running(), "{there:?}");
    change(&incus, "a1", StateChange::stop(4 * SHORT))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_during_the_start_breaks_the_start() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let mut name = "a1".to_owned();
    let incus = made(&bed, &name).await;
    for attempt in 1.. {
        let begun = incus
            .change_state(&name, &StateChange::start())
            .await
            .unwrap();
        let next = format!("a{}", attempt + 1);
        let renamed = rename(&bed, &name, &next).await;
        let started = incus.wait(&begun, LONG).await;
        if renamed["type"] != "async" && attempt < TRIES {
            // It ran already.
            change(&incus, &name, StateChange::kill()).await.unwrap();
            continue;
        }
        let renamed: Operation = serde_json::from_value(renamed["metadata"].clone()).unwrap();
        match (incus.wait(&renamed, LONG).await, started) {
            (Ok(_), Err(_broken)) => name = next,
            (_, Ok(_)) if attempt < TRIES => {
                change(&incus, &name, StateChange::kill()).await.unwrap();
                continue;
            }
            other => panic!("{other:?}"),
        }
        break;
    }
    let there = bed.instances().await.remove(0);
    assert_eq!(there.name, name, "under its new name");
    assert!(there.status_code.is_stopped(), "{there:?}");
    // The start may have put a directory where the volume was, and an instance of that name would be
    // made in it: without an error, and never to be started or deleted.
    for old in (1..)
        .map(|n| format!("a{n}"))
        .take_while(|old| *old != name)
    {
        let volume = format!("{}_{old}", bed.installation.name);
        let _none = std::fs::remove_dir(bed.pool().join("containers").join(volume));
    }
}

/// No call of the client's: this program never renames.
async fn rename(bed: &Bed, from: &str, to: &str) -> Value {
    let body = json!({ "name": to }).to_string();
    let request = format!(
        "POST /1.0/instances/{from}?project={} HTTP/1.0\r\nHost: incus\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        bed.installation.name,
        body.len()
    );
    let mut stream = UnixStream::connect(&bed.socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_is_told_from_one_that_has_nothing_to_say() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let incus = bed.incus();
    let mut events = incus.events(&[EventType::Lifecycle]).await.unwrap();
    let heard = events.heard();
    let listening = tokio::spawn(async move { events.next().await });
    let begun = heard.at();
    // Nothing happens, and every 10 s it is heard of.
    containarium_testkit::wait_for(Duration::from_secs(25), "a ping comes", async || {
        if heard.at() > begun {
            Ok(())
        } else {
            Err(begun.elapsed())
        }
    })
    .await;
    let paused = bed.pause_engine();
    let silent = incus.server().await.unwrap_err();
    assert!(matches!(silent, Error::Timeout { .. }), "{silent:?}");
    let ended = tokio::time::timeout(Duration::from_secs(30), listening).await;
    let ended = ended.unwrap().unwrap().unwrap_err();
    assert!(matches!(ended, Error::Timeout { .. }), "{ended:?}");
    assert!(
        heard.at().elapsed() >= Duration::from_secs(24),
        "{:?}",
        heard.at().elapsed()
    );
    paused.resume();
    incus.server().await.unwrap();
}
