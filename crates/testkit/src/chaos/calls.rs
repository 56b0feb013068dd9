//! Calls of somebody who notes what he was answered, and asks again under the same key.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use crate::Answer;

/// The longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One caller of one life of the daemon.
#[derive(Clone, Debug)]
pub struct Calls {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// The connection broke, or nobody was there: it may have been done or not.
    Unknown(String),
}

/// A new Idempotency-Key.
pub fn key() -> String {
    Ulid::generate().to_string()
}

impl Calls {
    pub(super) fn new(url: &str, token: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            http,
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Asks once.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Outcome {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("authorization", format!("Bearer {}", self.token));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answered = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let headers = answer.headers().iter();
            let headers = headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let body = answer.text().await?;
            Ok::<_, reqwest::Error>(Answer {
                status,
                headers,
                body,
            })
        };
        match answered.await {
            Ok(answer) => Outcome::Answered(answer),
            Err(error) => Outcome::Unknown(format!("{error:?}")),
        }
    }

    /// Reads something that must be answered.
    pub async fn get(&self, path: &str) -> Answer {
        match self.ask("GET", path, None, None).await {
            Outcome::Answered(answer) => answer,
            Outcome::Unknown(why) => panic!("GET {path}: {why}"),
        }
    }

    /// Does something under this key that must succeed, however often a busy daemon or an engine that
    /// is just back says to come again.
    pub async fn does(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.ask(method, path, Some(key), body).await {
                Outcome::Answered(answer) if answer.status < 300 => return answer,
                Outcome::Answered(answer) if answer.is_for_later() && Instant::now() < end => {}
                other => panic!("{method} {path}: {other:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the daemon has heard of the engine.
    pub async fn ready(&self, within: Duration) {
        crate::wait_for(within, "the daemon is ready", async || {
            match self.ask("GET", "/ready", None, None).await {
                Outcome::Answered(answer) if answer.status == 200 => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// One container; `None` where there is none.
    pub async fn container(&self, username: &str) -> Option<Value> {
        let answer = self.get(&format!("/v1/containers/{username}")).await;
        match answer.status {
            200 => Some(answer.json()["container"].clone()),
            404 => None,
            _ => panic!("{answer:?}"),
        }
    }
}

impl Answer {
    /// Whether it says that the engine or the daemon is away for a while.
    pub fn is_for_later(&self) -> bool {
        self.status == 503 || self.reason() == "busy"
    }
}
