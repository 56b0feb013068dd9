//! An engine that takes connections and never answers, under load.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use super::{Calls, Life, Outcome, Under, clean, key};

/// How long a read may take while the engine hangs. Most of them; a busy machine may delay one.
const READ: Duration = Duration::from_millis(200);
/// What is read all the time.
const READS: [&str; 6] = [
    "/v1/containers",
    "/v1/containers/alice",
    "/v1/metrics",
    "/v1/system/info",
    "/v1/images",
    "/v1/admin/leaks",
];
/// Between two reads of a reader.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon the hang must be said: its signs of life come every 10 s.
const SAID: Duration = Duration::from_secs(15);
/// How soon a mutation must be answered then.
const REFUSED: Duration = Duration::from_secs(5);

/// Stops the engine for so long, with readers and writers all the time: reads are answered from memory
/// and say so, changes are refused with 503, and afterwards all is in order within 30 s.
pub async fn hang(under: &Under, life: &Life, long: Duration) {
    let calls = life.calls();
    calls.ready(under.patience()).await;
    for name in ["alice", "bob"] {
        calls
            .does("POST", "/v1/containers", &key(), Some(&under.small(name)))
            .await;
    }
    // Under way when it stops: a create and a stop that nobody has acknowledged.
    let begun = key();
    let (create, stop) = (under.small("carol"), json!({"force": true}));
    let early = async {
        let create = calls.ask("POST", "/v1/containers", Some(&begun), Some(&create));
        let stop = calls.ask("POST", "/v1/containers/bob/stop", None, Some(&stop));
        tokio::join!(create, stop)
    };
    let stopped = async {
        sleep(Duration::from_millis(30)).await;
        under.pause();
        let begun = Instant::now();
        let mut said = None;
        let mut slow = Vec::new();
        let mut reads = 0;
        let mut refused = 0;
        while begun.elapsed() < long {
            for path in READS {
                let asked = Instant::now();
                let answer = calls.get(path).await;
                let took = asked.elapsed();
                reads += 1;
                assert_eq!(answer.status, 200, "{answer:?}");
                if took > READ {
                    slow.push(took);
                }
                // The others ask the engine, and notice before anybody knows.
                if path.starts_with("/v1/containers") {
                    assert!(answer.body.contains("\"alice\""), "{answer:?}");
                    if answer.json()["engine"] == "unreachable" {
                        said.get_or_insert(begun.elapsed());
                    }
                }
            }
            if said.is_some() {
                refuses(&calls).await;
                refused += 1;
            }
            assert!(
                open_to(under) <= 64,
                "{} connections to the engine",
                open_to(under)
            );
            sleep(PAUSE).await;
        }
        println!("{reads} reads, slow {slow:?}; said after {said:?}; {refused} changes refused");
        assert!(
            slow.len() * 50 <= reads,
            "of {reads} reads {slow:?} took longer than {READ:?}"
        );
        let said = said.unwrap_or(Duration::MAX);
        assert!(said < SAID, "that the engine hangs was said after {said:?}");
        under.resume();
    };
    let ((create, stop), ()) = tokio::join!(early, stopped);
    for outcome in [&create, &stop] {
        let Outcome::Answered(answer) = outcome else {
            panic!("{outcome:?}");
        };
        assert!([200, 201, 503].contains(&answer.status), "{answer:?}");
    }
    clean(&calls, under).await;
    calls.ready(under.patience()).await;
    let carol = calls.container("carol").await;
    let created = matches!(&create, Outcome::Answered(answer) if answer.status == 201);
    assert_eq!(carol.is_some(), created, "{create:?}, and {carol:?}");
}

/// A change is refused at once, with when to come again.
async fn refuses(calls: &Calls) {
    let asked = Instant::now();
    let body = json!({"force": true});
    let path = "/v1/containers/alice/stop";
    let answer = match calls.ask("POST", path, Some(&key()), Some(&body)).await {
        Outcome::Answered(answer) => answer,
        Outcome::Unknown(why) => panic!("{why}"),
    };
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (503, "engine_unavailable"),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(asked.elapsed() < REFUSED, "{:?}", asked.elapsed());
}

/// The connections that the engine's socket has, as the kernel lists them.
fn open_to(under: &Under) -> usize {
    let all = std::fs::read_to_string("/proc/net/unix").unwrap();
    let socket = under.socket.display().to_string();
    // One line is the listener.
    all.lines()
        .filter(|line| line.ends_with(&socket))
        .count()
        .saturating_sub(1)
}
