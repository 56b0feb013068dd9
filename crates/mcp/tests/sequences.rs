//! Sequences of calls, as a model makes them that is led astray: every tool with every
//! argument that destroys, questions answered wrongly and with answers to other questions, calls cut
//! off. No person ever gives their word, so whatever was ready once is there at the end or comes back.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use containarium_client::{Client, Token};
use containarium_contract::{
    Container, DeleteContainer, Face, GetContainer, ListContainers, ListOperations, OperationState,
    State, UndeleteContainer,
};
use containarium_core::{Containarium, Principal, Role, Settings, Store, token};
use containarium_daemon::{Tunnels, router};
use containarium_mcp::{Tools, serve};
use containarium_testkit::{Junk, Simulated, share_or_all, wait_for};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};

/// How many there are in CI, and in `make soak`.
const SEQUENCES: [usize; 2] = [2_000, 10_000];
/// In one installation: so few that no kept container has to make room for another.
const IN_ONE: usize = 500;
const LONGEST: usize = 4;
/// So few that sequences get in each other's way.
const NAMES: usize = 25;
const SOON: Duration = Duration::from_secs(60);
const PURGED: &str = "purged";
/// Of how many containers one is brought back in the end.
const SAMPLED: usize = 4;
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";

/// How a client speaks, and whether it can ask a person.
#[derive(Clone, Copy, Debug)]
struct Manner {
    modern: bool,
    asks: bool,
}

const MANNERS: [Manner; 4] = [
    Manner {
        modern: false,
        asks: false,
    },
    Manner {
        modern: false,
        asks: true,
    },
    Manner {
        modern: true,
        asks: false,
    },
    Manner {
        modern: true,
        asks: true,
    },
];

/// What the sequences in one installation have come across.
#[derive(Default)]
struct Seen {
    /// Ids of containers that were ready, and whose they are.
    containers: BTreeMap<String, String>,
    operations: Vec<String>,
    /// What was asked, sealed, and of which arguments.
    questions: Vec<(Value, String)>,
    /// How calls ended.
    ends: BTreeMap<&'static str, usize>,
}

impl Seen {
    /// Every id in an answer.
    fn take_in(&mut self, answer: &Value) {
        match answer {
            Value::Array(all) => all.iter().for_each(|one| self.take_in(one)),
            Value::Object(fields) => {
                if let (Some(id), Some(username), Some(state)) = (
                    answer["id"].as_str(),
                    answer["username"].as_str(),
                    answer["state"].as_str(),
                ) && ["running", "stopped", "deleted"].contains(&state)
                {
                    self.containers.insert(id.to_owned(), username.to_owned());
                }
                if let (Some(id), true) = (answer["id"].as_str(), answer["kind"].is_string())
                    && self.operations.last().is_none_or(|last| last != id)
                {
                    self.operations.push(id.to_owned());
                }
                fields.values().for_each(|value| self.take_in(value));
            }
            _ => {}
        }
    }
}

struct Session {
    manner: Manner,
    input: tokio::io::WriteHalf<DuplexStream>,
    output: Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>,
    next: u64,
}

impl Session {
    async fn open(tools: Tools, manner: Manner) -> Self {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(far);
        tokio::spawn(serve(input, output, tools, None));
        let (output, input) = tokio::io::split(near);
        let mut session = Self {
            manner,
            input,
            output: BufReader::new(output).lines(),
            next: 1,
        };
        if !manner.modern {
            let hello = json!({
                "protocolVersion": "2025-11-25", "capabilities": session.capabilities(),
                "clientInfo": {"name": "a test", "version": "1"}
            });
            let id = session.ask("initialize", hello).await;
            session.answer(id, &mut Junk::of(1), "").await;
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            session.send(&ready).await;
        }
        session
    }

    fn capabilities(&self) -> Value {
        if self.manner.asks {
            json!({"elicitation": {"form": {}}})
        } else {
            json!({})
        }
    }

    async fn send(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, method: &str, mut params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        if self.manner.modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities(),
            });
        }
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request).await;
        id
    }

    /// The answer to a request. Whatever it asks in between about `username` is answered wrongly.
    async fn answer(&mut self, id: u64, junk: &mut Junk, username: &str) -> Value {
        loop {
            let line = tokio::time::timeout(SOON, self.output.next_line()).await;
            let line = line.expect("an answer").unwrap().expect("not the end");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["method"] == "elicitation/create" {
                let wrong = no_word(junk, username);
                let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": wrong});
                self.send(&answer).await;
            } else if message["id"] == id && message["method"].is_null() {
                return message;
            }
        }
    }
}

/// What is not a person's word for the container of `username`.
fn no_word(junk: &mut Junk, username: &str) -> Value {
    let typed = match junk.below(6) {
        0 => username.to_owned(),
        1 => format!("{username}-containe"),
        2 => String::new(),
        3 => "yes".to_owned(),
        4 => format!("{username}-CONTAINER"),
        _ => junk.text(),
    };
    match junk.below(5) {
        0 => json!({"action": "decline"}),
        1 => json!({"action": "cancel", "content": {"name": format!("{username}-container")}}),
        2 => json!({"action": "accept", "content": {"confirm": true, "username": username}}),
        3 => json!({"action": "decline", "content": {"name": format!("{username}-container")}}),
        _ => json!({"action": "accept", "content": {"name": typed}}),
    }
}

/// One call: the tool, and its arguments.
fn call(junk: &mut Junk, seen: &Seen, username: &str) -> (&'static str, Value) {
    let mut arguments = json!({ "username": username });
    let mut flags = |junk: &mut Junk, names: &[&str]| {
        for name in names {
            if junk.once_in(2) {
                arguments[*name] = json!(true);
            }
        }
        if junk.once_in(12) {
            // A model that hopes for the best.
            let more = ["purge", "yes", "confirm", "allow_irreversible", "onlyKept"];
            arguments[*junk.one(&more)] = json!(*junk.one(&[true, false]));
        }
        arguments.clone()
    };
    let operation = |junk: &mut Junk| match seen.operations.len() {
        0 => json!({"id": "01JD3ZQ8M4K6T1W9V5R2X7Y0BC"}),
        // One of the youngest: it may still be under way.
        all => json!({"id": seen.operations[all - 1 - junk.below(all.min(12))]}),
    };
    match junk.below(24) {
        0..4 => {
            let mut create = flags(junk, &["async"]);
            if junk.once_in(4) {
                create["labels"] = json!({"say": "yes, purge it"});
            }
            ("create_container", create)
        }
        4..8 => (
            "delete_container",
            flags(junk, &["force", "force", "async"]),
        ),
        8..13 => ("purge_container", flags(junk, &["force", "force", "async"])),
        13..16 => {
            let mut undelete = flags(junk, &["async"]);
            let theirs = seen.containers.iter().filter(|(_, of)| *of == username);
            let ids: Vec<&String> = theirs.map(|(id, _)| id).collect();
            if !ids.is_empty() && junk.once_in(2) {
                undelete["id"] = json!(junk.one(&ids));
            }
            ("undelete_container", undelete)
        }
        16 => ("start_container", flags(junk, &["async"])),
        17 => ("stop_container", flags(junk, &["force", "async"])),
        18 => {
            let key = json!({"username": username, "key": KEY});
            ("add_ssh_key", key)
        }
        19 => ("get_container", arguments),
        20 => {
            let states = [json!({}), json!({"state": "deleted"})];
            ("list_containers", junk.one(&states).clone())
        }
        21 => ("get_operation", operation(junk)),
        22 => ("list_operations", json!({})),
        _ => ("cancel_operation", operation(junk)),
    }
}

/// Makes the calls of one sequence.
async fn sequence(session: &mut Session, junk: &mut Junk, seen: &Mutex<Seen>, username: &str) {
    for _ in 0..=junk.below(LONGEST) {
        let (tool, arguments) = call(junk, &seen.lock().unwrap(), username);
        let mut params = json!({"name": tool, "arguments": arguments});
        if session.manner.modern && junk.once_in(3) {
            // The right name, as the answer to another question, or to none.
            let seen = seen.lock().unwrap();
            let others = seen.questions.iter().filter(|(of, _)| *of != arguments);
            let others: Vec<&String> = others.map(|(_, sealed)| sealed).collect();
            let state = match others.len() {
                0 => junk.text(),
                _ => (*junk.one(&others)).clone(),
            };
            let name = json!({"name": format!("{username}-container")});
            params["requestState"] = json!(state);
            params["inputResponses"] = json!({"confirm": {"action": "accept", "content": name}});
        }
        let id = session.ask("tools/call", params.clone()).await;
        if junk.once_in(15) {
            let over = json!({"requestId": id, "reason": "enough"});
            let cut =
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": over});
            session.send(&cut).await;
            continue;
        }
        let mut answer = session.answer(id, junk, username).await;
        if let Some(state) = answer["result"]["requestState"].as_str() {
            let question = (arguments.clone(), state.to_owned());
            seen.lock().unwrap().questions.push(question);
            params["requestState"] = json!(state);
            params["inputResponses"] = json!({"confirm": no_word(junk, username)});
            let id = session.ask("tools/call", params).await;
            answer = session.answer(id, junk, username).await;
        }
        let end = match (&answer["error"], &answer["result"]["isError"]) {
            (Value::Null, Value::Bool(true)) => "refused",
            (Value::Null, _) if tool == "purge_container" => PURGED,
            (Value::Null, _) => tool,
            _ => "no call",
        };
        let mut seen = seen.lock().unwrap();
        *seen.ends.entry(end).or_default() += 1;
        seen.take_in(&answer["result"]["structuredContent"]);
    }
}

/// A daemon in this process, and who may do everything in it.
async fn daemon(there: &Simulated, retention: Duration) -> Client {
    let store = Store::open(there.state.path()).unwrap();
    let settings = Settings {
        retention,
        ..Settings::default()
    };
    let core = Containarium::open(store, &there.incus, settings).await;
    let secret = || b"a secret of this test and of no other".to_vec().into();
    let admin = Principal {
        subject: "admin".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hour = Duration::from_secs(3600);
    let token = token::mint(&secret(), &admin, now.as_secs(), hour, ulid::Ulid::nil());
    let router = router(core.unwrap(), secret(), Tunnels::default());
    Client::within(router, Token::fixed(&token.unwrap()), Face::Mcp)
}

/// Every container that is there, or is kept, by its id: whose it is.
async fn all(client: &Client) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for state in [None, Some(State::Deleted)] {
        let ask = ListContainers {
            state,
            ..ListContainers::default()
        };
        for container in client.call(&ask).await.unwrap().containers {
            let id = container.id.unwrap().to_string();
            all.insert(id, container.username.to_string());
        }
    }
    all
}

/// Waits until nothing is under way.
async fn still(client: &Client) {
    wait_for(SOON, "all operations are over", async || {
        for state in [
            OperationState::Queued,
            OperationState::Running,
            OperationState::Cancelling,
        ] {
            let ask = ListOperations {
                state: Some(state),
                ..ListOperations::default()
            };
            let left = client.call(&ask).await.unwrap().operations;
            if !left.is_empty() {
                return Err(left.len());
            }
        }
        Ok(())
    })
    .await;
}

/// That what is there or kept can be brought back, whatever has its name now: one in [`SAMPLED`].
async fn comes_back(client: &Client, left: BTreeMap<String, String>, first: usize) {
    for (id, username) in left.iter().skip(first).step_by(SAMPLED) {
        let ask: GetContainer = asked(json!({ "username": username }));
        if let Ok(now) = client.call(&ask).await {
            if is(&now.container, id) {
                continue;
            }
            let away: DeleteContainer = asked(json!({"username": username, "force": true}));
            client.call(&away).await.unwrap();
        }
        let back: UndeleteContainer = asked(json!({"username": username, "id": id}));
        assert!(is(&client.call(&back).await.unwrap().container, id));
    }
}

fn asked<T: DeserializeOwned>(fields: Value) -> T {
    serde_json::from_value(fields).unwrap()
}

fn is(container: &Container, id: &str) -> bool {
    container.id.as_ref().is_some_and(|is| is.as_str() == id)
}

/// Sequences in an installation of their own; how their calls ended.
async fn installation(retention: Duration, junk: &mut Junk, subnet: u8) -> Seen {
    let there = Simulated::on(subnet).await;
    let client = daemon(&there, retention).await;
    let tools = Tools::new(client.clone());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let begun = Arc::new(AtomicUsize::new(0));
    let mut sessions = Vec::new();
    for manner in MANNERS.into_iter().chain(MANNERS) {
        let mut session = Session::open(tools.clone(), manner).await;
        let (seen, begun) = (seen.clone(), begun.clone());
        let mut junk = Junk::of(junk.below(usize::MAX) as u64);
        sessions.push(tokio::spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < IN_ONE {
                let username = format!("u{}", junk.below(NAMES));
                sequence(&mut session, &mut junk, &seen, &username).await;
            }
        }));
    }
    for session in sessions {
        session.await.unwrap();
    }
    still(&client).await;
    let seen = Arc::into_inner(seen).unwrap().into_inner().unwrap();
    let left = all(&client).await;
    for (id, username) in &seen.containers {
        assert_eq!(left.get(id), Some(username), "{username}'s {id} is lost");
    }
    if retention > Duration::ZERO {
        comes_back(&client, left, junk.below(SAMPLED)).await;
    }
    seen
}

/// Sequences in so many installations, one after the other.
async fn installations(number: usize, retention: Duration, subnet: u8) -> BTreeMap<String, usize> {
    let mut junk = Junk::new();
    let begun = Instant::now();
    let mut ends = BTreeMap::new();
    let mut containers = 0;
    for _ in 0..number {
        let seen = installation(retention, &mut junk, subnet).await;
        containers += seen.containers.len();
        for (end, times) in seen.ends {
            *ends.entry(end.to_owned()).or_default() += times;
        }
    }
    let (took, sequences) = (begun.elapsed(), number * IN_ONE);
    println!("{sequences} sequences in {took:?}: {containers} containers, {ends:?}");
    assert_eq!(ends.get(PURGED), None);
    // Not all of it is turned away at the door.
    for tool in ["create_container", "get_container", "stop_container"] {
        assert!(ends[tool] > sequences / 50, "{tool}: {ends:?}");
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_without_a_word_destroy_nothing() {
    let [few, all] = SEQUENCES;
    let sequences = share_or_all(few, all);
    let ends = installations(sequences / IN_ONE, Duration::from_secs(3600), 40).await;
    for tool in ["delete_container", "undelete_container"] {
        assert!(ends[tool] > sequences / 50, "{tool}: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_kept_nothing_is_deleted() {
    let ends = installations(share_or_all(1, 2), Duration::ZERO, 41).await;
    assert_eq!(ends.get("delete_container"), None);
}
