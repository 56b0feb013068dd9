//! JSON-RPC, one message a line, as a transport for rmcp. Not what the messages mean.
//!
//! rmcp has such a transport; this one differs where a person or a script would be left in silence:
//! a line that is not JSON gets an error, a message that is JSON but nothing of MCP gets an error
//! with its id, an incomplete `initialize` is completed, and the end of the input is passed on only
//! after every request has its answer, so that `echo … | mcp-server` prints it.

use std::{collections::HashSet, io, sync::Arc};

use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{Mutex, mpsc, watch},
};

use crate::{
    debug_log::{DebugLog, Direction},
    repair,
};

/// More than any message of ours or a client's; a line without an end must not fill the memory.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// The transport.
pub(crate) struct Lines<W> {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    out: Arc<Out<W>>,
}

/// The way out, shared by the reader (for its errors) and every answer.
struct Out<W> {
    writer: Mutex<W>,
    log: Option<DebugLog>,
    /// Requests without an answer yet.
    open: watch::Sender<HashSet<RequestId>>,
    /// Whether nobody reads any more.
    broken: watch::Sender<bool>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Lines<W> {
    /// Reads `input` in a task of its own until it ends.
    pub(crate) fn new<R>(input: R, output: W, log: Option<DebugLog>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let out = Arc::new(Out {
            writer: Mutex::new(output),
            log,
            open: watch::Sender::default(),
            broken: watch::Sender::new(false),
        });
        let (sender, incoming) = mpsc::channel(16);
        tokio::spawn(read(BufReader::new(input), sender, out.clone()));
        Self { incoming, out }
    }
}

async fn read<R, W>(
    mut input: BufReader<R>,
    sender: mpsc::Sender<ClientJsonRpcMessage>,
    out: Arc<Out<W>>,
) where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let mut line = Vec::new();
    let mut in_session = false;
    loop {
        line.clear();
        match (&mut input)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            out.refuse(
                Value::Null,
                -32700,
                "Parse error: the line is longer than 16 MiB",
            )
            .await;
            if !skip_line(&mut input).await {
                break;
            }
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        out.log(Direction::In, &String::from_utf8_lossy(&line));
        let Some(message) = out.understand(&line, &mut in_session).await else {
            continue;
        };
        out.note_incoming(&message);
        if sender.send(message).await.is_err() {
            return;
        }
    }
    // Dropping the sender ends the session, so that waits for the answers.
    let _ = out.open.subscribe().wait_for(HashSet::is_empty).await;
}

/// Reads to the end of the line; whether there is more after it.
async fn skip_line<R: AsyncRead + Unpin>(input: &mut BufReader<R>) -> bool {
    loop {
        let mut piece = Vec::new();
        match input.take(LONGEST_LINE).read_until(b'\n', &mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if piece.last() == Some(&b'\n') => return true,
            Ok(_) => {}
        }
    }
}

impl<W: AsyncWrite + Send + Unpin> Out<W> {
    /// The message in `line`, mended; `None` where there is nothing to pass on.
    async fn understand(&self, line: &[u8], in_session: &mut bool) -> Option<ClientJsonRpcMessage> {
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let mut value: Value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                let text = format!("Parse error: a line must be one JSON-RPC message: {error}");
                self.refuse(Value::Null, -32700, &text).await;
                return None;
            }
        };
        repair::complete_initialize(&mut value);
        *in_session |= repair::opens_a_session(&value);
        let id = value
            .get("id")
            .filter(|id| id.is_string() || id.is_number())
            .cloned();
        let is_notification = value.get("method").is_some() && value.get("id").is_none();
        match serde_json::from_value(value) {
            // rmcp ends at a notification before the session; nobody could have meant that.
            Ok(JsonRpcMessage::Request(request)) => Some(JsonRpcMessage::Request(request)),
            Ok(message) => in_session.then_some(message),
            Err(_) if is_notification => None,
            Err(_) => {
                let text = "Invalid Request: not a JSON-RPC 2.0 message of MCP";
                self.refuse(id.unwrap_or(Value::Null), -32600, text).await;
                None
            }
        }
    }

    /// Keeps count of what waits for an answer.
    fn note_incoming(&self, message: &ClientJsonRpcMessage) {
        match message {
            JsonRpcMessage::Request(request) => {
                self.open.send_modify(|open| {
                    open.insert(request.id.clone());
                });
            }
            JsonRpcMessage::Notification(notification) => {
                // A cancelled request is never answered.
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.closed(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
    }

    fn closed(&self, id: &RequestId) {
        self.open.send_modify(|open| {
            open.remove(id);
        });
    }

    async fn refuse(&self, id: Value, code: i32, message: &str) {
        let error =
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
        // Who no longer reads misses nothing.
        let _ = self.write(error.to_string()).await;
    }

    async fn write(&self, mut line: String) -> io::Result<()> {
        self.log(Direction::Out, &line);
        line.push('\n');
        let mut writer = self.writer.lock().await;
        let written = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        let written = written.await;
        if written.is_err() {
            self.broken.send_replace(true);
        }
        written
    }

    fn log(&self, direction: Direction, line: &str) {
        if let Some(log) = &self.log {
            log.message(direction, line);
        }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Transport<RoleServer> for Lines<W> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let out = self.out.clone();
        async move {
            let answered = match &message {
                JsonRpcMessage::Response(response) => Some(response.id.clone()),
                JsonRpcMessage::Error(error) => error.id.clone(),
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
            };
            let written = out.write(serde_json::to_string(&message)?).await;
            if let Some(id) = answered {
                out.closed(&id);
            }
            written
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let mut broken = self.out.broken.subscribe();
        tokio::select! {
            message = self.incoming.recv() => message,
            _ = broken.wait_for(|broken| *broken) => None,
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.out.writer.lock().await.flush().await
    }
}
