//! One call of a tool: a person's word where it takes one, its end, and how a client is told.

use std::{pin::Pin, time::Duration};

use containarium_client::{CallError, Client};
use containarium_contract::{CancelOperation, HostEngine, Problem};
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
};

use crate::{
    progress::{self, Watch},
    seal::Seal,
    tool::{Answer, Call},
    word::{Asking, Word},
};

/// Who makes a call, and how.
pub(crate) struct Caller<'a> {
    /// The daemon, asked with the caller's own token.
    pub(crate) client: Client,
    /// What a question to a person is sealed with; `None` where nobody is asked.
    pub(crate) seal: Option<&'a Seal>,
    /// The request.
    pub(crate) request: &'a CallToolRequestParams,
    /// The session that it came in.
    pub(crate) context: &'a RequestContext<RoleServer>,
}

impl Caller<'_> {
    /// Makes the call, or asks for a person's word first.
    pub(crate) async fn makes(self, mut call: Call) -> Result<CallToolResponse, ErrorData> {
        let Self {
            client,
            seal,
            request,
            context,
        } = self;
        if let Some(seal) = seal {
            match call.form.stake(&client).await {
                Ok(None) => {}
                Ok(Some(stake)) => {
                    let says = client.token().says();
                    let asking = Asking {
                        seal,
                        principal: says.and_then(|says| says.subject).unwrap_or_default(),
                        call: request,
                        context,
                    };
                    match asking.word(stake).await {
                        Word::Given(id) => call.form.agreed(id),
                        Word::Ask(question) => return Ok((*question).into()),
                        Word::Refused(why) => return Ok(failed(why, None).into()),
                    }
                }
                Err(error) => return Ok(result(Err(error), client.is_simulated()).into()),
            }
        }
        let watch = Watch::new(context.meta.get_progress_token().is_some());
        let mut answer = call.form.call(client.clone(), watch.clone());
        let done = progress::reported(call.doing, &watch, &mut answer, context);
        tokio::select! {
            done = done => return Ok(result(done, client.is_simulated()).into()),
            () = context.ct.cancelled() => {}
        }
        if call.undone_if_cancelled {
            tokio::spawn(undo(client, watch, answer));
        }
        // A cancelled request is never answered; dropping the call hangs up on the daemon.
        Err(ErrorData::internal_error("cancelled", None))
    }
}

/// How long a daemon may take to say which operation a call has begun.
const KNOWN: Duration = Duration::from_secs(5);

/// Cancels the operation of a call that is cancelled. It may have been asked for without being known
/// yet.
async fn undo(
    client: Client,
    watch: Watch,
    answer: Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>,
) {
    let id = tokio::select! {
        operation = watch.operation() => operation.id,
        // There is nothing left to cancel.
        _ = answer => return,
        () = tokio::time::sleep(KNOWN) => return,
    };
    // One that is over by now is no failure, and nobody waits to be told of any other.
    let _ = client.call(&CancelOperation { id }).await;
}

/// A model reads the text, so the text says what a header says to programs. A failure has made
/// nothing, and its first words are what people look for.
fn result(done: Result<Answer, CallError>, simulated: bool) -> CallToolResult {
    match done {
        Ok(answer) => {
            let mut result = CallToolResult::structured(answer.structured);
            let text = if simulated {
                format!("{}\n{}", HostEngine::SIMULATED, answer.text)
            } else {
                answer.text
            };
            result.content = vec![ContentBlock::text(text)];
            result
        }
        Err(error) => {
            let mut result = failed(error.to_string(), error.hint());
            if simulated {
                result
                    .content
                    .push(ContentBlock::text(HostEngine::SIMULATED));
            }
            result
        }
    }
}

pub(crate) fn misread(problem: &Problem) -> CallToolResult {
    failed(
        format!("invalid arguments: {}", problem.error),
        problem.hint.clone(),
    )
}

fn failed(sentence: String, hint: Option<String>) -> CallToolResult {
    let text = match hint {
        Some(hint) => format!("{sentence}\nHint: {hint}"),
        None => sentence,
    };
    CallToolResult::error(vec![ContentBlock::text(text)])
}
