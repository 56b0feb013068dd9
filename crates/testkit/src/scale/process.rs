//! A daemon in a process of its own, and what that process uses.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use containarium_core::{Principal, Role, token};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use ulid::Ulid;

use super::Place;
use crate::program;

const SECRET: &str = "a secret of thirty-two bytes or more, for a test";

/// The daemon in its process.
pub(super) struct Process {
    child: Child,
    url: String,
    http: reqwest::Client,
    token: String,
    /// From its start until it listened.
    pub(super) cold: Duration,
    /// How long its passes took.
    passes: Arc<Mutex<Vec<Duration>>>,
}

impl Process {
    pub(super) async fn start(place: &Place<'_>) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(containarium())
            .args(["daemon", "--port", "0", "--state-dir"])
            .arg(place.state)
            .arg("--engine")
            .arg(format!("unix:{}", place.socket.display()))
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
        let who = Principal {
            subject: "root".parse().unwrap(),
            roles: vec![Role::Admin],
            restrictions: Vec::new(),
        };
        let secret = SECRET.to_owned().into_bytes().into();
        Self {
            child,
            url,
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
            token: token::mint(&secret, &who, now, life, Ulid::generate()).unwrap(),
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

    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> String {
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

    pub(super) async fn tag(&self, path: &str) -> String {
        let answer = self.request("GET", path).send().await.unwrap();
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }

    /// Fails the test where it is not what `tag` is of.
    pub(super) async fn must_be_unchanged(&self, path: &str, tag: &str) {
        let request = self.request("GET", path).header("if-none-match", tag);
        assert_eq!(request.send().await.unwrap().status(), 304, "{path}");
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.ask("GET", path, None).await).unwrap()
    }

    /// A line of its `/proc/PID/status`, MiB.
    pub(super) fn mebibytes(&self, what: &str) -> u64 {
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
    pub(super) fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(self.proc("stat")).unwrap();
        // Behind the name, which is in brackets; the times are fields 14 and 15, in hundredths.
        let (_, fields) = text.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |n: usize| fields.get(n).unwrap().parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// The longest pass of its reconciler.
    pub(super) fn longest_pass(&self) -> Duration {
        self.passes.lock().unwrap().iter().copied().max().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        Path::new("/proc")
            .join(self.child.id().unwrap().to_string())
            .join(file)
            .display()
            .to_string()
    }

    /// Ends it without grace.
    pub(super) async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The program that is measured: what was built beside the test, or what a script built optimised.
fn containarium() -> PathBuf {
    let given = std::env::var_os("CONTAINARIUM_TEST_PROGRAM");
    given.map_or_else(|| program("containarium"), PathBuf::from)
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
