//! A change whose answer is lost is asked for again under its key, and nothing else is.

use super::script::{Does, Script};
use containarium_client::{CallError, Client, Token};
use containarium_contract::{
    Face, GetSystemInfo, ListenEvents, STOPPING, StartContainer, Stream as _,
};
use serde_json::json;

fn client(script: &Script) -> Client {
    Client::new(&script.url, Token::fixed("t"), Face::Cli).unwrap()
}

fn start() -> StartContainer {
    StartContainer {
        username: "alice".parse().unwrap(),
    }
}

fn started() -> String {
    json!({ "message": "it runs", "container": {
        "name": "alice-container", "username": "alice", "owner": "alice",
        "resources": {"cpu": "4", "memory": "4GB", "disk": "50GB"}, "sshKeys": [],
        "network": {"ipAddress": "10.0.0.2", "macAddress": "m", "interface": "e", "bridge": "b"},
        "createdAt": 1, "updatedAt": 2, "labels": {}, "image": "images:ubuntu/24.04",
        "dockerEnabled": true
    }})
    .to_string()
}

/// The keys that were sent, each with how often.
fn keys(script: &Script) -> Vec<(Option<String>, usize)> {
    let mut keys: Vec<(Option<String>, usize)> = Vec::new();
    for asked in script.asked() {
        let key = asked.header("idempotency-key").map(str::to_owned);
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, times)) => *times += 1,
            None => keys.push((key, 1)),
        }
    }
    keys
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_asked_for_again_under_its_key() {
    let script = Script::new(|n, _| match n {
        0 => Does::Breaks,
        _ => Does::Answers(200, started()),
    })
    .await;
    let client = client(&script);
    let done = client.call(&start()).await.unwrap();
    assert_eq!(done.message, "it runs");
    client.call(&start()).await.unwrap();
    let keys = keys(&script);
    assert_eq!(keys.len(), 2, "one key for each call: {keys:?}");
    assert_eq!((keys[0].1, keys[1].1), (2, 1));
    assert!(keys.iter().all(|(key, _)| key.is_some()), "{keys:?}");
}

#[tokio::test]
async fn a_daemon_that_stops_is_asked_again_and_one_that_refuses_is_not() {
    let stopping =
        format!("{{\"error\":\"{STOPPING}\",\"code\":503,\"reason\":\"engine_unavailable\"}}");
    let away = r#"{"error":"Incus does not answer","code":503,"reason":"engine_unavailable"}"#;
    let script = Script::new(move |n, _| match n {
        0 => Does::AnswersWith(503, "retry-after: 1", stopping.clone()),
        1 => Does::Answers(200, started()),
        2 => Does::AnswersWith(503, "retry-after: 1", away.into()),
        _ => Does::AnswersWith(409, "retry-after: 1", away.into()),
    })
    .await;
    let client = client(&script);
    client.call(&start()).await.unwrap();
    assert_eq!(script.asked().len(), 2);
    for status in [503, 409] {
        let error = client.call(&start()).await.unwrap_err();
        assert!(
            matches!(error, CallError::Api { status: s, .. } if s == status),
            "{error:?}"
        );
    }
    assert_eq!(script.asked().len(), 4);
}

#[tokio::test]
async fn a_question_has_no_key_and_is_asked_once() {
    let script = Script::new(|_, _| Does::Breaks).await;
    let error = client(&script).call(&GetSystemInfo {}).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert_eq!(keys(&script), [(None, 1)]);
}

#[tokio::test]
async fn a_daemon_that_is_gone_after_it_was_asked_may_have_done_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { drop(listener.accept().await) });
    let url = format!("http://{address}");
    let client = Client::new(&url, Token::fixed("t"), Face::Cli).unwrap();
    let error = client.call(&start()).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with(&format!("request failed: read tcp {address}: ")),
        "not that the connection was refused: {told}"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("`containarium operation list`")
    );
}

#[tokio::test]
async fn a_daemon_that_was_never_there_is_not_waited_for() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let began = std::time::Instant::now();
    let client = Client::new(&url, Token::fixed("t"), Face::Cli).unwrap();
    client.call(&start()).await.unwrap_err();
    assert!(began.elapsed().as_millis() < 400, "{:?}", began.elapsed());
}

#[tokio::test]
async fn events_go_on_where_they_broke_off() {
    let event = |id: &str, state: &str| {
        format!(
            ": hello\n\nid: {id}\nevent: container\ndata: {}\n\n",
            json!({"type": "container", "username": "alice", "state": state, "at": "t"})
        )
    };
    let (first, second) = (event("41", "running"), event("43", "stopped"));
    let script = Script::new(move |n, _| match n {
        0 => Does::Streams {
            text: format!("{first}id: 42\ndata: {{\"type\":\"of a later version\"}}\n\nid: 43\nda"),
            stays: false,
        },
        1 => Does::Breaks,
        2 => Does::Answers(503, "away".into()),
        3 => Does::Streams {
            text: second.clone(),
            stays: true,
        },
        _ => panic!("asked once more"),
    })
    .await;
    let listen = ListenEvents {
        target: "alice".parse().ok(),
    };
    let mut events = client(&script).events(listen, None).await.unwrap();
    let (id, event) = events.next().await.unwrap();
    assert_eq!((id.as_str(), event.name()), ("41", "container"));
    let (id, event) = events.next().await.unwrap();
    assert_eq!((id.as_str(), event.name()), ("43", "container"));
    let asked = script.asked();
    let last: Vec<_> = asked.iter().map(|a| a.header("last-event-id")).collect();
    assert_eq!(last, [None, Some("42"), Some("42"), Some("42")]);
    assert_eq!(
        asked[0].line,
        format!("GET {}?target=alice", ListenEvents::PATH)
    );
}

#[tokio::test]
async fn a_refusal_to_tell_is_told_at_once() {
    let script = Script::new(|_, _| Does::Answers(404, "{}".into())).await;
    let none = client(&script).events(ListenEvents::default(), None).await;
    assert!(matches!(none, Err(CallError::Api { status: 404, .. })));
    let script = Script::new(|_, _| Does::Answers(200, "<html>".into())).await;
    let none = client(&script).events(ListenEvents::default(), None).await;
    assert!(matches!(none, Err(CallError::Protocol(_))));
}
