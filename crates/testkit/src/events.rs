//! Listening to a daemon's events, as a program would.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::TestDaemon;

/// A listener of `/v1/events`.
pub struct Listener {
    answer: reqwest::Response,
    unread: String,
}

impl Listener {
    /// One with this token, from now on.
    pub async fn of(daemon: &TestDaemon, token: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let request = http
            .get(format!("{}/v1/events", daemon.url))
            .bearer_auth(token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{answer:?}");
        Self {
            answer,
            unread: String::new(),
        }
    }

    /// The next event that tells of a container, `within` this time.
    pub async fn container(&mut self, within: Duration) -> Value {
        let end = Instant::now() + within;
        loop {
            let event = timeout_at(end, self.next()).await;
            let event = event.expect("an event that tells of a container");
            if event["type"] == "container" {
                return event;
            }
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            while let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
                let event = data.map(|data| serde_json::from_str(data).unwrap());
                self.unread = rest.to_owned();
                if let Some(event) = event {
                    return event;
                }
            }
            let more = self.answer.chunk().await.unwrap();
            let more = more.expect("the daemon still tells");
            self.unread += std::str::from_utf8(&more).unwrap();
        }
    }
}
