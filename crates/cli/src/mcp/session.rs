//! A session with an MCP server that an entry starts, as a client has it: newline-separated JSON-RPC
//! over its stdin and stdout. No more of a client than it takes to see whether one would get along.

use std::{
    ffi::OsString,
    io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines, Take},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::{timeout, timeout_at},
};

/// The revision of the protocol that most clients open with.
const PROTOCOL: &str = "2025-11-25";
/// More than all answers together.
const LONGEST: u64 = 4 << 20;
/// More of what it writes to stderr is not kept.
const LONGEST_LAST_WORDS: u64 = 16 << 10;

/// A server, and our side of its pipes.
pub(crate) struct Session {
    server: Child,
    to: ChildStdin,
    from: Lines<BufReader<Take<ChildStdout>>>,
    last_words: JoinHandle<String>,
    until: Instant,
    limit: Duration,
    last: u64,
}

/// Who answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The server's name and version.
    pub(crate) server: String,
    /// The revision of the protocol that it speaks.
    pub(crate) protocol: String,
}

impl Session {
    /// Starts a program, which has `limit` for everything.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        limit: Duration,
    ) -> io::Result<Self> {
        let mut server = Command::new(program)
            .args(args)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (
            server.stdin.take(),
            server.stdout.take(),
            server.stderr.take(),
        );
        let (Some(to), Some(from), Some(words)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self {
            server,
            to,
            from: BufReader::new(from.take(LONGEST)).lines(),
            last_words: tokio::spawn(read(words)),
            until: Instant::now() + limit,
            limit,
            last: 0,
        })
    }

    /// Shakes hands.
    pub(crate) async fn open(&mut self) -> Result<Hello, String> {
        let hello = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "containarium", "version": env!("CARGO_PKG_VERSION")},
        });
        let answer = self.ask("initialize", hello).await?;
        let said = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
        let (Some(name), Some(protocol)) = (said("/serverInfo/name"), said("/protocolVersion"))
        else {
            return Err("its answer to `initialize` names no server and no protocol".to_owned());
        };
        let hello = Hello {
            server: format!("{name} {}", said("/serverInfo/version").unwrap_or("?")),
            protocol: protocol.to_owned(),
        };
        let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.say(&begun).await?;
        Ok(hello)
    }

    /// The names of its tools.
    pub(crate) async fn tools(&mut self) -> Result<Vec<String>, String> {
        let (mut names, mut page) = (Vec::new(), json!({}));
        loop {
            let answer = self.ask("tools/list", page).await?;
            let tools = answer.get("tools").and_then(Value::as_array);
            let tools = tools.ok_or("its answer to `tools/list` has no tools")?;
            let name = |tool: &Value| Some(tool.get("name")?.as_str()?.to_owned());
            names.extend(tools.iter().filter_map(name));
            match answer.get("nextCursor").and_then(Value::as_str) {
                Some(next) => page = json!({"cursor": next}),
                None => return Ok(names),
            }
        }
    }

    /// What a tool without arguments gives: `Ok` or an error of the tool's own.
    pub(crate) async fn call(&mut self, tool: &str) -> Result<Result<Value, String>, String> {
        let call = json!({"name": tool, "arguments": {}});
        let answer = self.ask("tools/call", call).await?;
        let text = answer.pointer("/content/0/text").and_then(Value::as_str);
        let text = text.unwrap_or_default().trim().to_owned();
        if answer.get("isError").and_then(Value::as_bool) == Some(true) {
            return Ok(Err(text));
        }
        Ok(Ok(answer))
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.last += 1;
        let id = self.last;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        // Whoever does not read may have said why.
        let _said = self.say(&request).await;
        let limit = self.until.into();
        loop {
            let line = match timeout_at(limit, self.from.next_line()).await {
                Err(_) => {
                    let limit = humantime::format_duration(self.limit);
                    return Err(format!("no answer to `{method}` within {limit}"));
                }
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None) | Err(_)) => return Err(self.how_it_ended().await),
            };
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                let start: String = line.chars().take(80).collect();
                return Err(format!("it writes what is no MCP on its stdout: {start}"));
            };
            // Notifications, and requests of the server's own, are not what was asked for.
            if message.get("id").and_then(Value::as_u64) != Some(id)
                || message.get("method").is_some()
            {
                continue;
            }
            if let Some(error) = message.get("error") {
                let why = error.get("message").and_then(Value::as_str);
                return Err(format!("it refuses `{method}`: {}", why.unwrap_or("?")));
            }
            return Ok(message.get("result").cloned().unwrap_or_default());
        }
    }

    async fn say(&mut self, message: &Value) -> Result<(), String> {
        let line = format!("{message}\n");
        let said = timeout_at(self.until.into(), self.to.write_all(line.as_bytes()));
        match said.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(format!("it does not read its stdin: {why}")),
            Err(_) => Err("it does not read its stdin".to_owned()),
        }
    }

    /// How it ended, and its last words.
    async fn how_it_ended(&mut self) -> String {
        let soon = Duration::from_secs(2);
        let status = match timeout(soon, self.server.wait()).await {
            Ok(Ok(status)) => format!("it ended ({status})"),
            Ok(Err(_)) | Err(_) => "it closed its stdout".to_owned(),
        };
        let words = timeout(soon, &mut self.last_words).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        match one_line(&words) {
            words if words.is_empty() => format!("{status} without a word"),
            words => format!("{status}: {words}"),
        }
    }
}

async fn read(words: ChildStderr) -> String {
    let mut text = Vec::new();
    let mut words = words;
    let mut start = (&mut words).take(LONGEST_LAST_WORDS);
    let _broken = start.read_to_end(&mut text).await;
    // One that cannot write on would stand still.
    let _broken = tokio::io::copy(&mut words, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// The last lines of a text as one.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let last = lines.len().saturating_sub(4);
    lines.get(last..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_not_waited_for_longer_than_the_limit() {
        let limit = Duration::from_millis(200);
        let args = ["-c".to_owned(), "exec sleep 60".to_owned()];
        let session = Session::start(Path::new("/bin/sh"), &args, std::env::vars_os(), limit);
        let why = session.unwrap().open().await.unwrap_err();
        assert_eq!(why, "no answer to `initialize` within 200ms");
    }

    #[test]
    fn last_words_are_one_line() {
        assert_eq!(one_line("a\n\n b \nc\nd\ne\n"), "b; c; d; e");
        assert_eq!(one_line(""), "");
    }
}
