//! What thousands of containers cost a daemon: lists, looks, adoption, memory, passes of the
//! reconciler, an idle one. The same on an incusd in memory and on a real one.

mod process;
mod table;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::wait_for;
use process::Process;

pub use table::{Table, Took, timed};

/// How many containers come and go while pages are read.
const TURNS: u32 = 3;

/// Where there are many: empties that were made past every daemon, as `make_empties` does.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// A state directory that knows none of them.
    pub state: &'p Path,
    /// The engine's socket.
    pub socket: &'p Path,
    /// How many there are.
    pub many: u32,
}

/// A number in the environment.
pub fn number(variable: &str, or: u32) -> u32 {
    std::env::var(variable).map_or(or, |text| text.parse().unwrap())
}

/// Reads all by pages while others come and go; each that was there all the time comes once.
async fn pages_are_whole(daemon: &Process, many: u32) {
    let read = std::cell::Cell::new(false);
    let turns = std::cell::Cell::new(0);
    let turbulence = async {
        for n in 0.. {
            if read.get() {
                break;
            }
            let name = format!("{}{n}", ["a", "e5x", "f", "z"].get(n % 4).unwrap());
            let small = r#"{"cpu": "1", "memory": "512MiB", "disk": "3GB"}"#;
            let ask =
                format!(r#"{{"username": "{name}", "resources": {small}, "enableDocker": false}}"#);
            daemon.ask("POST", "/v1/containers", Some(&ask)).await;
            let path = format!("/v1/containers/{name}?force=true&purge=true");
            daemon.ask("DELETE", &path, None).await;
            turns.set(turns.get() + 1);
        }
    };
    let reading = async {
        // On a real engine all pages are read before one comes or goes.
        while turns.get() < TURNS {
            all_pages(daemon, many).await;
        }
        read.set(true);
    };
    tokio::join!(reading, turbulence);
}

async fn all_pages(daemon: &Process, many: u32) {
    let (mut names, mut query) = (Vec::new(), "?limit=20".to_owned());
    loop {
        let page = daemon.get(&format!("/v1/containers{query}")).await;
        for one in page["containers"].as_array().unwrap() {
            names.push(one["username"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("?limit=20&cursor={cursor}");
    }
    assert!(names.is_sorted_by(|a, b| a < b), "twice, or out of order");
    let stayed = |name: &&String| {
        name.strip_prefix('e')
            .is_some_and(|n| n.parse::<u32>().is_ok())
    };
    assert_eq!(names.iter().filter(stayed).count(), many as usize);
}

/// Adopts and measures them. `CONTAINARIUM_TEST_IDLE` says for how many seconds the idle daemon is
/// watched; none unless set. No daemon runs afterwards, and the store knows all.
pub async fn measured(place: &Place<'_>) -> Table {
    let many = place.many;
    let thousands = many.div_ceil(1000);
    let mut table = Table::default();

    let daemon = Process::start(place).await;
    let begun = Instant::now();
    let adopted: Value = serde_json::from_str(
        &daemon
            .ask("POST", "/v1/admin/adopt", Some(r#"{"all": true}"#))
            .await,
    )
    .unwrap();
    assert_eq!(adopted["message"], format!("{many} adopted."));
    let second = Duration::from_secs(1);
    table.time("adopt all", Took::once(begun.elapsed()), second * thousands);

    let all = daemon.get("/v1/containers").await;
    assert_eq!(all["totalCount"], many);
    assert_eq!(all["containers"].as_array().unwrap().len(), many as usize);
    let took = timed(60, async || {
        daemon.ask("GET", "/v1/containers", None).await;
    })
    .await;
    // 10 ms for every 1,000.
    let listed = Duration::from_micros(10) * many.max(100);
    table.time("list of all over HTTP, p99", took, listed);
    let tag = daemon.tag("/v1/containers").await;
    let took = timed(60, async || {
        daemon.must_be_unchanged("/v1/containers", &tag).await;
    })
    .await;
    table.time("list that the caller has, p99", took, listed);
    let took = timed(300, async || {
        daemon.ask("GET", "/v1/containers/e5", None).await;
    })
    .await;
    table.time("get over HTTP, p99", took, Duration::from_millis(1));
    for (query, part) in [
        ("?state=stopped", many),
        ("?state=running", 0),
        ("?label=tenth=3", many / 10),
        ("?owner=owner-3", many / 10),
        ("?owner=owner-3&label=tenth=4", 0),
    ] {
        let found = daemon.get(&format!("/v1/containers{query}")).await;
        assert_eq!(found["totalCount"], part, "{query}");
    }
    pages_are_whole(&daemon, many).await;
    let leaks = daemon.get("/v1/admin/leaks").await;
    assert_eq!(leaks["leaks"].as_array().unwrap().len(), 0, "{leaks}");

    let seconds = number("CONTAINARIUM_TEST_IDLE", 0);
    if seconds > 0 {
        let (before, begun) = (daemon.cpu(), Instant::now());
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        let used = (daemon.cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let text = format!("{:.2} % of a core (promised 1 %)", used * 100.0);
        table.row("idle", text, used <= 0.01);
    }
    let (now, peak) = (daemon.mebibytes("VmRSS:"), daemon.mebibytes("VmHWM:"));
    let text = format!("{now} MiB, {peak} MiB at its most (promised 100 MiB)");
    table.row("resident", text, now <= 100);
    let pass = daemon.longest_pass();
    table.time(
        "longest pass of the reconciler",
        Took::once(pass),
        second * 2,
    );
    daemon.killed().await;

    let daemon = Process::start(place).await;
    table.time(
        "cold start until it listens",
        Took::once(daemon.cold),
        second * 3,
    );
    wait_for(Duration::from_secs(20), "all are known to it", async || {
        let found = daemon.get("/v1/containers?state=stopped&limit=1").await;
        if found["totalCount"] == many {
            Ok(())
        } else {
            Err(found["totalCount"].clone())
        }
    })
    .await;
    let text = format!("{} MiB (promised 100 MiB)", daemon.mebibytes("VmRSS:"));
    table.row(
        "resident after its start",
        text,
        daemon.mebibytes("VmRSS:") <= 100,
    );
    daemon.killed().await;
    table
}
