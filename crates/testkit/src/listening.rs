//! A listener to the daemon's events, as any client of server-sent events is one.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

/// How long the next message may take; between two there are 15 s at the most.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its number.
    pub id: u64,
    /// The name of its type.
    pub name: String,
    /// What it says.
    pub data: Value,
}

/// An open stream of events.
pub struct Listening {
    answer: reqwest::Response,
    text: String,
    /// Comments that came: signs of life.
    pub comments: usize,
}

impl Listening {
    /// Begins to listen at `url`, which has the path and query; behind the event `last`, or from now
    /// on. Heard once this answers.
    pub async fn begin(url: &str, token: &str, last: Option<u64>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let mut ask = http
            .get(url)
            .header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            ask = ask.header("last-event-id", last.to_string());
        }
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "text/event-stream");
        let mut this = Self {
            answer,
            text: String::new(),
            comments: 0,
        };
        while this.comments == 0 {
            assert!(this.more().await, "the stream ended before it began");
            this.skip_comments();
        }
        this
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            self.skip_comments();
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let message = read(frame);
                self.text = rest.to_owned();
                return Some(message);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Those that come within this time.
    pub async fn within(&mut self, time: Duration) -> Vec<Message> {
        let mut all = Vec::new();
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(next)) = tokio::time::timeout_at(end, self.next()).await {
            all.push(next);
        }
        all
    }

    fn skip_comments(&mut self) {
        while self.text.starts_with(':')
            && let Some((_, rest)) = self.text.split_once("\n\n")
        {
            self.comments += 1;
            self.text = rest.to_owned();
        }
    }

    async fn more(&mut self) -> bool {
        let chunk = timeout(PATIENCE, self.answer.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("no sign of life within {PATIENCE:?}"));
        // A stream that is cut off ends for its reader.
        let Ok(Some(chunk)) = chunk else { return false };
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        true
    }
}

fn read(frame: &str) -> Message {
    let field = |name: &str| {
        let mut found = frame.lines().filter_map(|line| line.strip_prefix(name));
        let value = found
            .next()
            .unwrap_or_else(|| panic!("no {name} in {frame}"));
        assert!(found.next().is_none(), "two of {name} in {frame}");
        value.trim().to_owned()
    };
    Message {
        id: field("id:").parse().unwrap(),
        name: field("event:"),
        data: serde_json::from_str(&field("data:")).unwrap(),
    }
}
