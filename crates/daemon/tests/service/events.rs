//! Events as they are told: each once, in order, and on from where a listener was.

use std::time::Duration;

use containarium_core::Role;
use containarium_testkit::{Listening, Message, TestDaemon};
use serde_json::json;

use crate::installed::Installed;

async fn listen(daemon: &TestDaemon, query: &str, last: Option<u64>) -> Listening {
    let url = format!("{}/v1/events{query}", daemon.url);
    Listening::begin(&url, &daemon.admin_token(), last).await
}

/// Reads until an operation on this target ends so.
async fn until_ended(listening: &mut Listening, target: &str, state: &str) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(message) = listening.next().await {
        let op = &message.data["operation"];
        let over = op["target"] == target && op["state"] == state;
        all.push(message);
        if over {
            return all;
        }
    }
    panic!("the stream ended before; heard {all:?}");
}

async fn create(daemon: &TestDaemon, username: &str) {
    let ask = Some(json!({"username": username}));
    let made = daemon.ask_as_admin("POST", "/v1/containers", ask).await;
    assert_eq!(made.status, 201, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_cut_off_anywhere_hears_every_event_once() {
    let here = Installed::new(191).await;
    let Installed { daemon, there } = here;
    let mut whole = listen(&daemon, "", None).await;
    create(&daemon, "alice").await;
    for verb in ["stop", "start", "stop"] {
        let path = format!("/v1/containers/alice/{verb}");
        daemon.ask_as_admin("POST", &path, None).await;
    }
    let heard = {
        let mut all = until_ended(&mut whole, "alice", "succeeded").await;
        for _ in 0..3 {
            all.extend(until_ended(&mut whole, "alice", "succeeded").await);
        }
        all
    };
    let ids: Vec<u64> = heard.iter().map(|message| message.id).collect();
    assert!(ids.is_sorted_by(|a, b| a + 1 == *b), "a gap: {ids:?}");
    assert!(
        heard
            .iter()
            .all(|message| message.data["type"] == message.name.as_str())
    );
    // What one operation tells never goes back.
    let mut progress = 0;
    for message in heard
        .iter()
        .filter(|m| m.data["operation"]["kind"] == "create")
    {
        let now = message.data["operation"]["progress"].as_u64().unwrap();
        assert!(now >= progress, "{heard:?}");
        progress = now;
    }
    assert_eq!(progress, 100);

    // A daemon that stops ends the stream, soon, and the next one goes on with it.
    let begun = std::time::Instant::now();
    let daemon = daemon.restarted().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let _rest = whole.within(Duration::from_secs(1)).await;
    let before = ids[0] - 1;
    for cut in 0..heard.len() {
        let mut first = listen(&daemon, "", Some(before)).await;
        let mut told = Vec::new();
        for _ in 0..cut {
            told.push(first.next().await.unwrap());
        }
        drop(first);
        let last = told.last().map_or(before, |message| message.id);
        let mut second = listen(&daemon, "", Some(last)).await;
        while told.len() < heard.len() {
            told.push(second.next().await.unwrap());
        }
        assert_eq!(told, heard, "cut after {cut}");
    }
    drop(there);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_his_own_and_of_what_he_seeks() {
    let here = Installed::new(192).await;
    let daemon = &here.daemon;
    let url = format!("{}/v1/events", daemon.url);
    let mut bobs = Listening::begin(&url, &daemon.token("bob", &[Role::User]), None).await;
    let mut only = listen(daemon, "?target=carol", None).await;
    for name in ["alice", "bob", "carol"] {
        create(daemon, name).await;
    }
    let his = until_ended(&mut bobs, "bob", "succeeded").await;
    let sought = until_ended(&mut only, "carol", "succeeded").await;
    let more = bobs.within(Duration::from_millis(300)).await;
    for (all, name) in [(his, "bob"), (more, "bob"), (sought, "carol")] {
        for message in all {
            let about = message.data["operation"]["target"].as_str();
            let about = about.or(message.data["username"].as_str());
            assert_eq!(about, Some(name), "{message:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_from_the_future_resets_the_listener_and_a_bad_one_is_refused() {
    let here = Installed::new(193).await.with_alice().await;
    let mut far = listen(&here.daemon, "", Some(u64::MAX)).await;
    assert_eq!(far.next().await.unwrap().name, "reset");
    let mut lost = listen(&here.daemon, "", Some(1_000_000)).await;
    let reset = lost.next().await.unwrap();
    assert_eq!(reset.name, "reset", "{reset:?}");
    // From there it goes on.
    create(&here.daemon, "bob").await;
    let told = until_ended(&mut lost, "bob", "succeeded").await;
    assert_eq!(told[0].id, reset.id + 1, "{told:?}");
    let token = here.daemon.admin_token();
    for bad in ["x", "-1", "1.5"] {
        let refused = here
            .daemon
            .ask_with(
                "GET",
                "/v1/events",
                Some(&token),
                None,
                &[("last-event-id", bad)],
            )
            .await;
        assert_eq!(refused.status, 422, "{bad}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_gives_signs_of_life() {
    let here = Installed::new(194).await;
    let mut listening = listen(&here.daemon, "", None).await;
    let before = listening.comments;
    let heard = listening.within(Duration::from_secs(17)).await;
    assert!(heard.is_empty(), "{heard:?}");
    assert!(listening.comments > before);
}
