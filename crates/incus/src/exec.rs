//! Running a command in an instance, to its end, without a terminal and without input.
//!
//! Not for streams: output is recorded by Incus in the instance's own volume, read and deleted.
//! Keep secrets out of the command line: Incus puts it in its events.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::Serialize;

use crate::client::{CHANGE, Client, READ_ALL};
use crate::envelope::Verdict;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::transport::Limit;

/// The most kept of each output, in bytes; the end is kept.
const OUTPUT: usize = 1 << 20;

/// A command to be run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Exec {
    /// The program and its arguments; there is no shell.
    pub command: Vec<String>,
    /// Variables added to Incus's few.
    pub environment: BTreeMap<String, String>,
    /// Where to run it; `None` is the user's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// As whom, by uid; `None` is root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// As which group, by gid; `None` is root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

impl Exec {
    /// A command run by root.
    pub fn new<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// How a command ended and what it wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; 128+n for signal n.
    pub code: i64,
    /// The last 1 MiB of its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// The same of its standard error.
    pub stderr: String,
}

#[derive(Serialize)]
struct ExecPost<'a> {
    #[serde(flatten)]
    exec: &'a Exec,
    #[serde(rename = "wait-for-websocket")]
    wait_for_websocket: bool,
    #[serde(rename = "record-output")]
    record_output: bool,
    interactive: bool,
}

impl Client {
    /// Runs a command and answers with its exit code; its output is lost. After
    /// [`Error::Timeout`] the command goes on.
    pub async fn exec(&self, name: &str, exec: &Exec, deadline: Duration) -> Result<i64> {
        exit_code(&self.run(name, exec, false, deadline).await?)
    }

    /// Runs a command and answers with its exit code and output. Fails when the instance's volume
    /// is full. After [`Error::Timeout`] the command goes on and its output stays in the volume.
    pub async fn exec_recorded(
        &self,
        name: &str,
        exec: &Exec,
        deadline: Duration,
    ) -> Result<ExecOutput> {
        let ended = self.run(name, exec, true, deadline).await?;
        let output = |fd: &str| ended.metadata.get("output")?.get(fd)?.as_str();
        Ok(ExecOutput {
            code: exit_code(&ended)?,
            stdout: self.take_output(name, output("1")).await?,
            stderr: self.take_output(name, output("2")).await?,
        })
    }

    async fn run(
        &self,
        name: &str,
        exec: &Exec,
        record_output: bool,
        deadline: Duration,
    ) -> Result<Operation> {
        let post = ExecPost {
            exec,
            wait_for_websocket: false,
            record_output,
            interactive: false,
        };
        let begun = self
            .begin(Method::POST, &["instances", name, "exec"], &post)
            .await?;
        self.wait(&begun, deadline).await
    }

    /// Reads one recorded output, then deletes it. `url` is Incus's; only its last part is used.
    async fn take_output(&self, name: &str, url: Option<&str>) -> Result<String> {
        let path = url
            .and_then(|url| url.split('?').next())
            .unwrap_or_default();
        let Some(file) = path.rsplit('/').next().filter(|file| !file.is_empty()) else {
            return Ok(String::new());
        };
        let segments = ["instances", name, "logs", "exec-output", file];
        let mut call = self.call(Method::GET, &segments, &[], READ_ALL)?;
        call.limit = Limit::Tail(OUTPUT);
        let reply = self.send(call).await?;
        // The file comes bare; an envelope here is a refusal.
        if !reply.status.is_success() {
            return Verdict::of(&reply)?.done();
        }
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let call = self.call(Method::DELETE, &segments, &[], CHANGE)?;
        self.verdict(call).await?.done::<serde_json::Value>()?;
        Ok(text)
    }
}

fn exit_code(ended: &Operation) -> Result<i64> {
    ended
        .metadata
        .get("return")
        .and_then(serde_json::Value::as_i64)
        .ok_or_else(|| Error::Protocol("an exec ended without an exit code".to_owned()))
}
