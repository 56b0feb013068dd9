//! The tools over two byte streams, until the first one ends.

use std::pin::Pin;

use rmcp::{
    ServiceExt,
    service::{QuitReason, ServerInitializeError},
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{DebugLog, Tools, stdio::Lines};

/// Why serving ended otherwise than with its input.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No session came about.
    #[error("no MCP session: {0}")]
    NoSession(Box<ServerInitializeError>),
    /// The session's task failed.
    #[error("the MCP session broke off: {0}")]
    Broken(String),
}

/// Answers the JSON-RPC lines of this process's stdin on its stdout, as [`serve`] does.
///
/// The future is boxed, so that a session is compiled here, once, and not in each program that serves one.
pub fn serve_stdio(
    tools: Tools,
    log: Option<DebugLog>,
) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
    Box::pin(serve(tokio::io::stdin(), tokio::io::stdout(), tools, log))
}

/// Answers the JSON-RPC lines of `input` on `output` with the tools.
///
/// Returns when `input` has ended and every request in it has its answer.
///
/// # Errors
///
/// What came was no session of MCP.
pub async fn serve(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    tools: impl Into<Tools>,
    log: Option<DebugLog>,
) -> Result<(), ServeError> {
    let lines = Lines::new(input, output, log);
    let session = match tools.into().serve(lines).await {
        Ok(session) => session,
        // Whoever looked in and left has done nothing wrong.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ServeError::NoSession(Box::new(error))),
    };
    match session.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(ServeError::Broken(error.to_string())),
        Ok(_) => Ok(()),
    }
}
