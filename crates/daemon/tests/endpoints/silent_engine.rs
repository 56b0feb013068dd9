//! Every read, while the engine hangs or is away: it is answered at once, from memory.

use std::{
    collections::BTreeSet,
    pin::pin,
    time::{Duration, Instant},
};

use containarium_contract::{Effect, StreamKind};
use containarium_daemon::{Page, specs};
use containarium_testkit::{TestDaemon, wait_for};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    installed::Installed,
    sample::{OPERATION, sample},
};

/// How many of these moments a read may take: 200 ms, and longer where others have the processors.
const AT_ONCE: u32 = 20;
const MOMENT: Duration = Duration::from_millis(10);
/// How often a read is tried that took longer.
const TRIES: u32 = 5;
const SOON: Duration = Duration::from_secs(20);

/// One thing to read.
#[derive(Clone, Debug)]
struct Read {
    id: &'static str,
    path: String,
    /// Whether its answer does not end.
    endless: bool,
}

/// All there is to read, of the endpoints and beside them.
async fn reads(daemon: &TestDaemon) -> Vec<Read> {
    let list = daemon.ask_as_admin("GET", "/v1/operations?limit=1", None);
    let operation = list.await.json()["operations"][0]["id"].clone();
    let of_endpoints = specs()
        .into_iter()
        .filter(|spec| spec.effect == Effect::Read);
    let mut all: Vec<Read> = of_endpoints
        .map(|spec| {
            let sample = sample(&spec, "alice");
            assert_eq!((sample.method.as_str(), &sample.body), ("GET", &None));
            // Without its query it is told everything.
            let path = sample.path.split('?').next().unwrap();
            Read {
                id: spec.id,
                path: path.replace(OPERATION, operation.as_str().unwrap()),
                endless: spec.stream == Some(StreamKind::Events),
            }
        })
        .collect();
    all.extend(Page::ALL.map(|page| Read {
        id: page.path(),
        path: page.path().to_owned(),
        endless: false,
    }));
    all
}

/// What a read was told, and when.
#[derive(Debug)]
struct Told {
    status: u16,
    head: String,
    body: String,
    took: Duration,
    at_once: bool,
}

impl Told {
    /// What it says of the engine, if it says anything.
    fn engine(&self) -> Option<String> {
        let body = self.json()?;
        let engine = [&body["engine"], &body["info"]["engine"]];
        let mut engine = engine.into_iter().filter_map(Value::as_str);
        engine.next().map(str::to_owned)
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The names of all that is told, however deep.
    fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(body) = self.json() {
            collect(&body, "", &mut names);
        }
        names
    }
}

fn collect(value: &Value, at: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                collect(value, &at, names);
                names.insert(at);
            }
        }
        Value::Array(all) => {
            for value in all {
                collect(value, &format!("{at}[]"), names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Reads by hand: to make a client of a library takes a while itself.
async fn told(daemon: &TestDaemon, read: &Read) -> Told {
    let token = daemon.admin_token();
    let at = daemon.url.trim_start_matches("http://");
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\n\r\n",
        read.path
    );
    let begun = Instant::now();
    let asked = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut some = [0; 4096];
        loop {
            let read_now = stream.read(&mut some).await.unwrap();
            answer.extend_from_slice(&some[..read_now]);
            let head = answer.windows(4).any(|four| four == b"\r\n\r\n");
            if read_now == 0 || (read.endless && head) {
                return answer;
            }
        }
    };
    let mut asked = pin!(asked);
    let mut answer = None;
    for _ in 0..AT_ONCE {
        answer = timeout(MOMENT, &mut asked).await.ok();
        if answer.is_some() {
            break;
        }
    }
    let at_once = answer.is_some();
    let answer = match answer {
        Some(answer) => answer,
        None => timeout(SOON, asked).await.unwrap(),
    };
    let took = begun.elapsed();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    Told {
        status: status.parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
        took,
        at_once,
    }
}

/// Fails the test where an answer is not one that the engine is not needed for.
fn must_be_without_engine(read: &Read, told: &Told) {
    let refused = match read.id {
        // An empty list would say that all is well, an old one may name what is adopted by now.
        "list_unclaimed" => true,
        // It says whether a change can be made.
        "/ready" => told.engine() == Some("unreachable".to_owned()),
        _ => false,
    };
    let status = if refused { 503 } else { 200 };
    assert_eq!(told.status, status, "{}: {told:?}", read.id);
    if read.id == "list_unclaimed" {
        assert!(told.head.contains("\r\nretry-after: "), "{told:?}");
    }
}

/// What holds of each read once it is known that the engine does not answer.
async fn all_are_told_without_engine(daemon: &TestDaemon, all: &[Read]) {
    for read in all {
        let mut tries = 0;
        loop {
            let told = told(daemon, read).await;
            must_be_without_engine(read, &told);
            let engine = told.engine();
            assert!(
                engine
                    .as_deref()
                    .is_none_or(|engine| engine == "unreachable"),
                "{}: {told:?}",
                read.id
            );
            tries += 1;
            if told.at_once {
                break;
            }
            let took = told.took;
            assert!(tries < TRIES, "{} took {took:?}: {told:?}", read.id);
        }
    }
}

/// Waits until it is known whether the engine answers.
async fn noticed(daemon: &TestDaemon, engine: &str) {
    wait_for(SOON, engine, async || {
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        if list.json()["engine"] == engine {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_is_answered_at_once_whether_the_engine_answers_or_not() {
    let here = Installed::new(210).await.with_alice().await;
    let all = reads(&here.daemon).await;
    assert!(all.len() >= 18, "{all:?}");
    let Installed { daemon, there } = here;
    // So that nothing was asked before.
    let daemon = daemon.restarted().await;
    let sim = &there.sim;

    // Nobody knows yet that the engine hangs, and at first nobody has asked what is read.
    for read in &all {
        let mut tries = 0;
        loop {
            noticed(&daemon, "ok").await;
            sim.hang(true);
            let silent = told(&daemon, read).await;
            sim.hang(false);
            must_be_without_engine(read, &silent);
            // Those two are told from memory whether the engine answers or not.
            let remembered = ["list_containers", "get_container", "/ready"];
            assert!(
                remembered.contains(&read.id)
                    || silent.engine().is_none_or(|it| it == "unreachable"),
                "{}: {silent:?}",
                read.id
            );
            tries += 1;
            if silent.at_once {
                break;
            }
            let took = silent.took;
            assert!(tries < TRIES, "{} took {took:?}: {silent:?}", read.id);
        }
    }

    // What it has told is known, and told again.
    noticed(&daemon, "ok").await;
    for read in &all {
        let well = wait_for(SOON, read.id, async || {
            let well = told(&daemon, read).await;
            let measured = read.id != "get_container" || well.names().contains(".metrics");
            let engine = well.engine();
            let answered = engine.is_none_or(|engine| engine != "unreachable");
            if well.status == 200 && measured && answered {
                Ok(well)
            } else {
                Err(well)
            }
        })
        .await;
        if read.id == "list_unclaimed" {
            continue;
        }
        let mut tries = 0;
        loop {
            sim.hang(true);
            let silent = told(&daemon, read).await;
            sim.hang(false);
            must_be_without_engine(read, &silent);
            assert!(
                silent.names().is_superset(&well.names()),
                "{}: {well:?} {silent:?}",
                read.id
            );
            tries += 1;
            if silent.at_once {
                break;
            }
            let took = silent.took;
            assert!(tries < TRIES, "{} took {took:?}: {silent:?}", read.id);
            noticed(&daemon, "ok").await;
        }
    }

    sim.hang(true);
    noticed(&daemon, "unreachable").await;
    all_are_told_without_engine(&daemon, &all).await;
    sim.hang(false);
    noticed(&daemon, "ok").await;
    sim.crash().await;
    noticed(&daemon, "unreachable").await;
    all_are_told_without_engine(&daemon, &all).await;

    // A daemon that has never heard of its engine.
    let daemon = daemon
        .restarted_after(async || {
            sim.restart().unwrap();
            sim.hang(true);
        })
        .await;
    all_are_told_without_engine(&daemon, &all).await;
    let daemon = daemon.restarted_after(async || sim.crash().await).await;
    all_are_told_without_engine(&daemon, &all).await;

    sim.restart().unwrap();
    noticed(&daemon, "ok").await;
    for read in &all {
        let well = told(&daemon, read).await;
        assert_eq!(well.status, 200, "{}: {well:?}", read.id);
    }
}
