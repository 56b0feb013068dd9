//! Thousands of containers: what lists, looks, adoption, memory and an idle daemon cost. The engine is
//! an incusd in memory in this process; the daemon is the program, in one of its own.
//!
//! `CONTAINARIUM_TEST_MANY` says how many (1,000 unless set), `CONTAINARIUM_TEST_IDLE` for how many
//! seconds the idle daemon is watched (none unless set). `make scale` runs it optimised with 10,000,
//! and prints the table; then the bounds are those that are promised.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use containarium_contract::{GetContainer, ListContainers};
use containarium_core::{Containarium, Principal, Role, Settings, Store, token};
use containarium_testkit::{Simulated, make_empties, program};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use ulid::Ulid;

const SECRET: &str = "a secret of thirty-two bytes or more, for a test";
/// What is promised of an optimised build; one that is not, on a machine that does other things, is
/// given so many times as long.
const SLACK: u32 = if cfg!(debug_assertions) { 60 } else { 1 };

fn number(variable: &str, or: u32) -> u32 {
    std::env::var(variable).map_or(or, |text| text.parse().unwrap())
}

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
    }
}

/// The daemon in its process.
struct Daemon {
    child: Child,
    url: String,
    http: reqwest::Client,
    token: String,
    /// From its start until it listened.
    cold: Duration,
    /// How long its passes took.
    passes: Arc<Mutex<Vec<Duration>>>,
}

impl Daemon {
    async fn start(there: &Simulated) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(program("containarium"))
            .args(["daemon", "--port", "0", "--state-dir"])
            .arg(there.state.path())
            .arg("--engine")
            .arg(format!("unix:{}", there.sim.socket().display()))
            .env("CONTAINARIUM_JWT_SECRET", SECRET)
            .env(
                "CONTAINARIUM_LOG",
                "warn,containarium_core::reconcile=debug,containarium=info",
            )
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = log.next_line().await.unwrap().unwrap();
            if let Some(at) = line.find("127.0.0.1:") {
                let digits = line.get(at..).unwrap_or_default();
                let end = digits.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
                let address = digits
                    .get(..end.unwrap_or(digits.len()))
                    .unwrap_or_default();
                break format!("http://{address}");
            }
        };
        let cold = begun.elapsed();
        let passes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&passes);
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                if let Some((_, took)) = line.split_once("reconciled took=") {
                    told.lock().unwrap().push(written(took));
                }
            }
        });
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let life = Duration::from_secs(3600);
        let secret = SECRET.to_owned().into_bytes().into();
        Self {
            child,
            url,
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
            token: token::mint(&secret, &admin(), now, life, Ulid::generate()).unwrap(),
            cold,
            passes,
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .timeout(Duration::from_secs(300))
            .header("authorization", format!("Bearer {}", self.token))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> String {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_owned()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        text
    }

    async fn tag(&self, path: &str) -> String {
        let answer = self.request("GET", path).send().await.unwrap();
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }

    /// Fails the test where it is not what `tag` is of.
    async fn must_be_unchanged(&self, path: &str, tag: &str) {
        let request = self.request("GET", path).header("if-none-match", tag);
        assert_eq!(request.send().await.unwrap().status(), 304, "{path}");
    }

    async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.ask("GET", path, None).await).unwrap()
    }

    /// A line of its `/proc/PID/status`, MiB.
    fn mebibytes(&self, what: &str) -> u64 {
        let text = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .unwrap();
        let kib: u64 = line
            .trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap();
        kib / 1024
    }

    /// What it has used of a core, in all.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(self.proc("stat")).unwrap();
        // Behind the name, which is in brackets; the times are fields 14 and 15, in hundredths.
        let (_, fields) = text.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |n: usize| fields.get(n).unwrap().parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    fn proc(&self, file: &str) -> String {
        Path::new("/proc")
            .join(self.child.id().unwrap().to_string())
            .join(file)
            .display()
            .to_string()
    }

    /// Ends it without grace.
    async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A duration, read as `Debug` writes it, such as `189.6ms containers=10000`.
fn written(text: &str) -> Duration {
    let word = text.split(' ').next().unwrap();
    let at = word.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = word.split_at(at.unwrap());
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        other => panic!("{other} in {text}"),
    };
    Duration::from_secs_f64(number.parse::<f64>().unwrap() * seconds)
}

/// What is measured, with its bound.
#[derive(Default)]
struct Table(BTreeMap<String, (String, bool)>);

impl Table {
    fn time(&mut self, what: &str, took: Duration, bound: Duration) {
        let fits = took <= bound * SLACK;
        self.row(what, format!("{took:.2?} (promised {bound:?})"), fits);
    }

    fn row(&mut self, what: &str, text: String, fits: bool) {
        println!("{what:<50} {text}{}", if fits { "" } else { "  TOO MUCH" });
        self.0.insert(what.to_owned(), (text, fits));
    }

    fn must_fit(&self) {
        let all = self.0.iter();
        let over: Vec<_> = all.filter(|(_, (_, fits))| !fits).collect();
        assert!(over.is_empty(), "over what is promised: {over:?}");
    }
}

/// Half and 99 of a hundred.
async fn timed(times: usize, mut ask: impl AsyncFnMut()) -> (Duration, Duration) {
    let mut all = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        ask().await;
        all.push(begun.elapsed());
    }
    all.sort();
    let at = |n: usize| *all.get((all.len() * n / 100).min(all.len() - 1)).unwrap();
    (at(50), at(99))
}

/// Reads all by pages while others come and go; each that was there all the time comes once.
async fn pages_are_whole(daemon: &Daemon, many: u32) {
    let read = std::cell::Cell::new(false);
    let turbulence = async {
        for n in 0.. {
            if read.get() {
                break;
            }
            let name = format!("{}{n}", ["a", "e5x", "f", "z"].get(n % 4).unwrap());
            let ask = format!(r#"{{"username": "{name}"}}"#);
            daemon.ask("POST", "/v1/containers", Some(&ask)).await;
            let path = format!("/v1/containers/{name}?force=true&purge=true");
            daemon.ask("DELETE", &path, None).await;
        }
    };
    let reading = async {
        let (mut names, mut query) = (Vec::new(), "?limit=20".to_owned());
        loop {
            let page = daemon.get(&format!("/v1/containers{query}")).await;
            for one in page["containers"].as_array().unwrap() {
                names.push(one["username"].as_str().unwrap().to_owned());
            }
            let Some(cursor) = page["nextCursor"].as_str() else {
                read.set(true);
                return names;
            };
            query = format!("?limit=20&cursor={cursor}");
        }
    };
    let (names, ()) = tokio::join!(reading, turbulence);
    assert!(names.is_sorted_by(|a, b| a < b), "twice, or out of order");
    let stayed = |name: &&String| {
        name.strip_prefix('e')
            .is_some_and(|n| n.parse::<u32>().is_ok())
    };
    assert_eq!(names.iter().filter(stayed).count(), many as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_containers_cost_little() {
    let many = number("CONTAINARIUM_TEST_MANY", 1000);
    let thousands = many.div_ceil(1000);
    let there = Simulated::on(201).await;
    let store = Store::open(there.state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.uid_ranges = many + 1000;
    store.set_installation(&installation).await.unwrap();
    drop(store);
    make_empties(&there.incus, &installation, many).await;
    let mut table = Table::default();

    let daemon = Daemon::start(&there).await;
    let begun = Instant::now();
    let adopted: Value = serde_json::from_str(
        &daemon
            .ask("POST", "/v1/admin/adopt", Some(r#"{"all": true}"#))
            .await,
    )
    .unwrap();
    assert_eq!(adopted["message"], format!("{many} adopted."));
    let second = Duration::from_secs(1);
    table.time("adopt all", begun.elapsed(), second * thousands);

    let all = daemon.get("/v1/containers").await;
    assert_eq!(all["totalCount"], many);
    assert_eq!(all["containers"].as_array().unwrap().len(), many as usize);
    let (half, most) = timed(60, async || {
        daemon.ask("GET", "/v1/containers", None).await;
    })
    .await;
    println!("list of all over HTTP: half in {half:?}");
    let ten = Duration::from_millis(10);
    table.time("list of all over HTTP, p99", most, ten * thousands);
    let tag = daemon.tag("/v1/containers").await;
    let (half, most) = timed(60, async || {
        daemon.must_be_unchanged("/v1/containers", &tag).await;
    })
    .await;
    println!("list of all that the caller has: half in {half:?}");
    table.time("list that the caller has, p99", most, ten * thousands);
    let (half, most) = timed(300, async || {
        daemon.ask("GET", "/v1/containers/e5", None).await;
    })
    .await;
    println!("get over HTTP: half in {half:?}");
    table.time("get over HTTP, p99", most, ten);
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
    let passes = daemon.passes.lock().unwrap().clone();
    table.time(
        "longest pass of the reconciler",
        passes.into_iter().max().unwrap(),
        second * 2,
    );
    daemon.killed().await;

    let daemon = Daemon::start(&there).await;
    table.time("cold start until it listens", daemon.cold, second * 3);
    let found = daemon.get("/v1/containers?state=stopped").await;
    assert_eq!(found["totalCount"], many);
    let text = format!("{} MiB (promised 100 MiB)", daemon.mebibytes("VmRSS:"));
    table.row(
        "resident after its start",
        text,
        daemon.mebibytes("VmRSS:") <= 100,
    );
    daemon.killed().await;

    // The same without HTTP.
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    let (_, most) = timed(60, async || {
        let list = core
            .list(&admin(), ListContainers::default())
            .await
            .unwrap();
        assert_eq!(list.containers.len(), many as usize);
    })
    .await;
    table.time("list of all in the core, p99", most, ten * thousands);
    let username: containarium_contract::Username = "e7".parse().unwrap();
    let (_, most) = timed(1000, async || {
        let username = username.clone();
        core.get(&admin(), GetContainer { username }).await.unwrap();
    })
    .await;
    table.time("get in the core, p99", most, Duration::from_millis(1));
    core.close(second).await;
    table.must_fit();
}
