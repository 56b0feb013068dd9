//! A person's word, in both eras of the protocol: without it nothing is removed for good.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use containarium_client::{Client, Token};
use containarium_contract::Face;
use containarium_mcp::{Modes, Tools};
use containarium_testkit::{Simulated, TestDaemon};
use serde_json::{Value, json};

use super::{
    daemon::{Daemon, answer},
    person::{ERAS, Era, Person},
};

const ID: &str = "01jd3zq8m4k6t1w9v5r2x7y0bc";
const LATER: &str = "01jd3zq8m4k6t1w9v5r2x7y0bd";
const GONE: &str =
    "DELETE /v1/containers/alice?force=false&id=01jd3zq8m4k6t1w9v5r2x7y0bc&purge=true";

/// A daemon with a container of alice's, and which one that is.
async fn with_alice() -> (Daemon, Arc<Mutex<&'static str>>) {
    let id = Arc::new(Mutex::new(ID));
    let now = id.clone();
    let daemon = Daemon::answering(move |asked| {
        let mut told = answer(asked);
        if asked.starts_with("GET /v1/containers/") {
            told["container"]["id"] = json!(*now.lock().unwrap());
        }
        (200, told.to_string())
    });
    (daemon.await, id)
}

/// What it was asked to delete.
fn deletes(daemon: &Daemon) -> Vec<String> {
    let asked = daemon.asked().into_iter().map(|(line, _)| line);
    asked.filter(|line| line.starts_with("DELETE")).collect()
}

impl Person {
    /// Calls purge_container with these arguments, and further fields beside them.
    async fn purges(&mut self, arguments: Value, more: Value) -> Value {
        self.calls("purge_container", arguments, more).await
    }

    /// Is asked for the word, gives this answer, and is told the result.
    async fn answers(&mut self, arguments: Value, answer: Value) -> Value {
        let asked = self.purges(arguments.clone(), json!({})).await;
        self.replies(&asked, arguments, answer).await
    }

    /// Gives this answer to what was asked, and is told the result.
    async fn replies(&mut self, asked: &Value, arguments: Value, answer: Value) -> Value {
        let told = match self.era {
            Era::Handshake => {
                let line = json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer});
                self.typist.types(&line.to_string()).await;
                self.typist.reads().await
            }
            Era::Metadata => self.purges(arguments, answered(state(asked), answer)).await,
        };
        told["result"].clone()
    }
}

/// What is asked of the person.
fn question(asked: &Value) -> &Value {
    match asked.get("method") {
        Some(method) => {
            assert_eq!(method, "elicitation/create", "{asked}");
            &asked["params"]
        }
        None => {
            assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
            let question = &asked["result"]["inputRequests"]["confirm"];
            assert_eq!(question["method"], "elicitation/create", "{asked}");
            &question["params"]
        }
    }
}

fn state(asked: &Value) -> &str {
    question(asked);
    asked["result"]["requestState"].as_str().unwrap()
}

fn answered(state: &str, answer: Value) -> Value {
    json!({"requestState": state, "inputResponses": {"confirm": answer}})
}

fn alice() -> Value {
    json!({"username": "alice"})
}

fn typed(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// The sentence of a result that is an error.
fn refusal(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn the_name_that_is_typed_removes_the_one_container_that_was_asked_about() {
    for era in ERAS {
        let (daemon, _) = with_alice().await;
        let mut person = Person::before(&daemon, era).await;
        person.greets().await;
        let done = person.answers(alice(), typed(" alice-container ")).await;
        assert_ne!(done["isError"], true, "{era:?}: {done}");
        assert_eq!(
            done["structuredContent"]["containerName"],
            "alice-container"
        );
        assert_eq!(deletes(&daemon), [GONE], "{era:?}");
    }
}

#[tokio::test]
async fn the_question_says_what_would_be_gone_and_what_to_type() {
    for era in ERAS {
        let (daemon, _) = with_alice().await;
        let mut person = Person::before(&daemon, era).await;
        person.greets().await;
        let asked = person.purges(alice(), json!({})).await;
        assert_eq!(
            question(&asked)["message"],
            "alice-container (owner alice, disk 50GB) and everything in it would be gone for good. \
             Type alice-container to remove it for good."
        );
        let form = &question(&asked)["requestedSchema"];
        assert_eq!(form["required"], json!(["name"]), "{asked}");
        assert_eq!(form["properties"]["name"]["type"], "string", "{asked}");
        assert_eq!(deletes(&daemon), [""; 0], "{era:?}");
    }
}

#[tokio::test]
async fn another_name_a_no_and_a_closed_window_remove_nothing() {
    for era in ERAS {
        let (daemon, _) = with_alice().await;
        let mut person = Person::before(&daemon, era).await;
        person.greets().await;
        for (answer, sentence) in [
            (
                typed("bob-container"),
                "what was typed is not alice-container",
            ),
            (typed("alice"), "what was typed is not alice-container"),
            (typed(""), "what was typed is not alice-container"),
            (
                json!({"action": "accept", "content": {"name": true}}),
                "what was typed is not alice-container",
            ),
            (
                json!({"action": "accept"}),
                "what was typed is not alice-container",
            ),
            (
                json!({"action": "decline", "content": {"name": "alice-container"}}),
                "the person did not agree; nothing was done",
            ),
            (
                json!({"action": "cancel"}),
                "the person did not agree; nothing was done",
            ),
        ] {
            let told = person.answers(alice(), answer.clone()).await;
            let told = refusal(&told);
            assert!(told.starts_with(sentence), "{era:?} {answer}: {told}");
        }
        assert_eq!(deletes(&daemon), [""; 0], "{era:?}");
    }
}

#[tokio::test]
async fn a_client_that_cannot_ask_is_told_what_a_person_can_run() {
    for era in ERAS {
        for can in [json!({}), json!({"elicitation": {"url": {}}})] {
            let (daemon, _) = with_alice().await;
            let mut person = Person::with(daemon.client(), era, can).await;
            person.greets().await;
            for (arguments, command) in [
                (alice(), "`containarium delete alice --purge`"),
                (
                    json!({"username": "alice", "force": true}),
                    "`containarium delete alice --force --purge`",
                ),
            ] {
                let told = person.purges(arguments, json!({})).await;
                let told = refusal(&told["result"]);
                assert!(told.contains(command), "{era:?}: {told}");
            }
            assert_eq!(deletes(&daemon), [""; 0], "{era:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_how_it_asks_asks_by_a_form() {
    for era in ERAS {
        for can in [
            json!({"elicitation": {}}),
            json!({"elicitation": {"form": {}, "url": {}}}),
        ] {
            let (daemon, _) = with_alice().await;
            let mut person = Person::with(daemon.client(), era, can).await;
            person.greets().await;
            question(&person.purges(alice(), json!({})).await);
        }
    }
}

#[tokio::test]
async fn a_client_that_fails_to_ask_is_told_what_a_person_can_run() {
    let (daemon, _) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Handshake).await;
    person.greets().await;
    let asked = person.purges(alice(), json!({})).await;
    let error = json!({"code": -32603, "message": "no window"});
    let line = json!({"jsonrpc": "2.0", "id": asked["id"], "error": error});
    person.typist.types(&line.to_string()).await;
    let told = person.typist.reads().await;
    let told = refusal(&told["result"]);
    assert!(told.contains("no window"), "{told}");
    assert!(
        told.contains("`containarium delete alice --purge`"),
        "{told}"
    );
    assert_eq!(deletes(&daemon), [""; 0]);
}

#[tokio::test]
async fn nobody_who_answers_for_a_minute_has_not_agreed() {
    let (daemon, _) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Handshake).await;
    person.greets().await;
    question(&person.purges(alice(), json!({})).await);
    // Where everybody waits, the next deadline is now.
    tokio::time::pause();
    let told = loop {
        let said = person.typist.reads_within(Duration::from_secs(300)).await;
        // That the question is withdrawn may be told as well.
        if said.get("result").is_some() {
            break said;
        }
    };
    let sentence = "nobody answered within a minute; nothing was done";
    assert_eq!(refusal(&told["result"]), sentence);
    assert_eq!(deletes(&daemon), [""; 0]);
}

#[tokio::test]
async fn an_answer_counts_for_its_own_call_only() {
    let (daemon, _) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Metadata).await;
    person.greets().await;
    let asked = person.purges(alice(), json!({})).await;
    let good = state(&asked).to_owned();
    let elsewhere = {
        let mut other = Person::before(&daemon, Era::Metadata).await;
        other.greets().await;
        state(&other.purges(alice(), json!({})).await).to_owned()
    };
    let forced = json!({"username": "alice", "force": true});
    let (head, tag) = good.rsplit_once('.').unwrap();
    let (version, _) = head.split_once('.').unwrap();
    for (why, arguments, state) in [
        ("other arguments", forced, good.clone()),
        (
            "another container",
            json!({"username": "bob"}),
            good.clone(),
        ),
        ("another server", alice(), elsewhere),
        ("cut off", alice(), good[..good.len() - 1].to_owned()),
        (
            "another body",
            alice(),
            format!("{version}.AAAAAAAAAAAw.{tag}"),
        ),
        ("no tag", alice(), head.to_owned()),
        ("made up", alice(), "yes".to_owned()),
        ("empty", alice(), String::new()),
    ] {
        let name = format!("{}-container", arguments["username"].as_str().unwrap());
        let told = person
            .purges(arguments, answered(&state, typed(&name)))
            .await;
        assert_eq!(
            refusal(&told["result"]),
            "the answer is over a minute old, or was given to another call; call again to ask anew",
            "{why}"
        );
    }
    assert_eq!(deletes(&daemon), [""; 0]);
    // It was none of these that was wrong with it.
    let done = person
        .purges(alice(), answered(&good, typed("alice-container")))
        .await;
    assert_ne!(done["result"]["isError"], true, "{done}");
    assert_eq!(deletes(&daemon), [GONE]);
}

#[tokio::test]
async fn a_container_that_was_made_anew_since_is_another_one() {
    let (daemon, id) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Metadata).await;
    person.greets().await;
    let asked = person.purges(alice(), json!({})).await;
    *id.lock().unwrap() = LATER;
    let more = answered(state(&asked), typed("alice-container"));
    let told = person.purges(alice(), more).await;
    assert_eq!(
        refusal(&told["result"]),
        "alice-container is another container by now; call again to ask anew"
    );
    assert_eq!(deletes(&daemon), [""; 0]);
}

#[tokio::test]
async fn one_that_is_made_anew_while_the_person_types_is_not_the_one_that_is_removed() {
    let (daemon, id) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Handshake).await;
    person.greets().await;
    let asked = person.purges(alice(), json!({})).await;
    *id.lock().unwrap() = LATER;
    person
        .replies(&asked, alice(), typed("alice-container"))
        .await;
    // The daemon refuses it: what is there has another id.
    assert_eq!(deletes(&daemon), [GONE]);
}

#[tokio::test]
async fn a_question_without_its_answer_and_an_answer_without_its_question_remove_nothing() {
    let (daemon, _) = with_alice().await;
    let mut person = Person::before(&daemon, Era::Metadata).await;
    person.greets().await;
    let asked = person.purges(alice(), json!({})).await;
    let good = state(&asked).to_owned();
    for more in [
        json!({"requestState": good}),
        json!({"requestState": good, "inputResponses": {}}),
        json!({"requestState": good, "inputResponses": {"other": typed("alice-container")}}),
        json!({"requestState": good, "inputResponses": {"confirm": {"name": "alice-container"}}}),
    ] {
        let told = person.purges(alice(), more.clone()).await;
        let sentence = "no answer came with the call; nothing was done";
        assert_eq!(refusal(&told["result"]), sentence, "{more}");
    }
    let alone = json!({"inputResponses": {"confirm": typed("alice-container")}});
    question(&person.purges(alice(), alone).await);
    assert_eq!(deletes(&daemon), [""; 0]);
}

#[tokio::test]
async fn what_is_not_there_is_told_before_anybody_is_asked() {
    const BODY: &str = r#"{"error":"there is no container of alice","code":404}"#;
    for era in ERAS {
        let daemon = Daemon::answering(|_| (404, BODY.to_owned())).await;
        let mut person = Person::before(&daemon, era).await;
        person.greets().await;
        let told = person.purges(alice(), json!({})).await;
        let told = refusal(&told["result"]);
        assert!(told.starts_with("API error (status 404): "), "{told}");
        assert_eq!(deletes(&daemon), [""; 0], "{era:?}");
    }
}

#[tokio::test]
async fn where_that_is_allowed_nobody_is_asked_and_the_model_is_told_so() {
    for era in ERAS {
        let (daemon, _) = with_alice().await;
        let modes = Modes {
            allow_irreversible: true,
            ..Modes::default()
        };
        let tools = Tools::new(daemon.client()).with_modes(modes).unwrap();
        let mut person = Person::with(tools, era, json!({})).await;
        let hello = person.greets().await;
        let told = hello["result"]["instructions"].as_str().unwrap();
        assert!(told.starts_with("--allow-irreversible is on: "), "{told}");
        let done = person.purges(alice(), json!({})).await;
        assert_ne!(done["result"]["isError"], true, "{era:?}: {done}");
        let gone = "DELETE /v1/containers/alice?force=false&purge=true";
        assert_eq!(deletes(&daemon), [gone], "{era:?}");

        let mut other = Person::before(&daemon, era).await;
        let hello = other.greets().await;
        let told = hello["result"]["instructions"].as_str().unwrap();
        assert!(!told.contains("irreversible"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_daemon_keeps_what_was_made_anew_and_removes_what_was_agreed_to() {
    for (era, subnet) in ERAS.into_iter().zip([236, 237]) {
        let there = Simulated::on(subnet).await;
        let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
        let token = Token::fixed(&daemon.admin_token());
        let client = Client::new(&daemon.url, token, Face::Mcp).unwrap();
        let can = json!({"elicitation": {}});
        let mut person = Person::with(client, era, can).await;
        person.greets().await;
        let create = async || {
            let made = daemon.ask_as_admin("POST", "/v1/containers", Some(alice()));
            assert_eq!(made.await.status, 201);
        };
        create().await;
        let forced = || json!({"username": "alice", "force": true});
        let asked = person.purges(forced(), json!({})).await;
        question(&asked);
        daemon.delete("alice").await;
        create().await;
        let told = person
            .replies(&asked, forced(), typed("alice-container"))
            .await;
        let said = refusal(&told);
        assert!(said.contains("another"), "{era:?}: {said}");
        let found = async || {
            daemon
                .ask_as_admin("GET", "/v1/containers/alice", None)
                .await
                .status
        };
        assert_eq!(found().await, 200, "{era:?}");

        let told = person.answers(forced(), typed("alice-container")).await;
        assert_ne!(told["isError"], true, "{era:?}: {told}");
        assert_eq!(found().await, 404, "{era:?}");
        let kept = daemon
            .ask_as_admin("GET", "/v1/containers?state=deleted", None)
            .await;
        assert!(
            kept.body.contains(r#""totalCount":0"#),
            "{era:?}: {}",
            kept.body
        );
    }
}
