//! The tools, answered by a daemon. Not how messages travel.

use std::{pin::Pin, sync::Arc, time::Duration};

use ::http::request::Parts;
use containarium_client::{CallError, Client, Token};
use containarium_contract::{CancelOperation, HostEngine, Problem};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        CustomRequest, CustomResult, DiscoverResult, ErrorCode, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};

use crate::{
    add_key::AddKey,
    cancel_operation::CancelOp,
    create::{self, Create},
    delete::Delete,
    get::Get,
    get_operation::GetOp,
    http,
    info::Info,
    instructions::instructions,
    list::List,
    list_keys::ListKeys,
    metrics::Metrics,
    own_key::OwnKey,
    progress::{self, Watch},
    remove_key::RemoveKey,
    start::Start,
    stop::Stop,
    tool::{Answer, Form as _, Tool},
    undelete::Undelete,
};

/// The tools of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    client: Client,
    tools: Arc<[Tool]>,
    own: Option<OwnKey>,
}

/// The list changes with the program and never while it runs.
const LIST_IS_GOOD_FOR_MS: u64 = 3_600_000;

impl Tools {
    /// The tools, answered by the daemon that `client` calls; the handbook's eight first, in its order.
    pub fn new(client: Client) -> Self {
        let tools = [
            Tool::of::<Create>(),
            Tool::of::<List>(),
            Tool::of::<Get>(),
            Tool::of::<Delete>(),
            Tool::of::<Start>(),
            Tool::of::<Stop>(),
            Tool::of::<Metrics>(),
            Tool::of::<Info>(),
            Tool::of::<ListKeys>(),
            Tool::of::<AddKey>(),
            Tool::of::<RemoveKey>(),
            Tool::of::<Undelete>(),
            Tool::of::<GetOp>(),
            Tool::of::<CancelOp>(),
        ];
        Self {
            client,
            tools: tools.into(),
            own: None,
        }
    }

    /// The client for one request: over HTTP each acts with its own token.
    fn client(&self, context: &RequestContext<RoleServer>) -> Client {
        let parts = context.extensions.get::<Parts>();
        match parts.and_then(http::token) {
            Some(token) => self.client.with_token(Token::fixed(token)),
            None => self.client.clone(),
        }
    }

    /// The same with a key that is used where a create names none.
    #[must_use]
    pub fn with_own_key(self, own: Option<OwnKey>) -> Self {
        Self { own, ..self }
    }
}

impl From<Client> for Tools {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("containarium", env!("CARGO_PKG_VERSION"))
                    .with_title("Containarium"),
            )
            .with_instructions(instructions(self.own.is_some()))
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info())
            .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let own_key = self.own.is_some();
        let shown = |tool: &Tool| {
            let mut card = tool.card.clone();
            if own_key && card.name == Create::NAME {
                card.description = Some(create::about_with_own_key().into());
            }
            card
        };
        let cards = self.tools.iter().map(shown).collect();
        Ok(ListToolsResult::with_all_items(cards)
            .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
            .with_cache_scope(CacheScope::Public))
    }

    /// What is none of the protocol's requests; a call without a name is taken for such a one.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match request.method.as_str() {
            "tools/call" => Err(ErrorData::invalid_params(
                "tools/call takes the tool's `name` and, as an object, its `arguments`",
                None,
            )),
            _ => Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                request.method,
                None,
            )),
        }
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.tools.iter().find(|tool| tool.card.name == call.name) else {
            let names: Vec<_> = self
                .tools
                .iter()
                .map(|tool| tool.card.name.as_ref())
                .collect();
            let asked: String = call.name.chars().take(80).collect();
            return Err(ErrorData::invalid_params(
                format!(
                    "there is no tool `{}`; the tools are {}",
                    asked.escape_debug(),
                    names.join(", ")
                ),
                None,
            ));
        };
        let watch = Watch::new(context.meta.get_progress_token().is_some());
        let client = self.client(&context);
        let begun = match tool.start(
            client.clone(),
            watch.clone(),
            self.own.as_ref(),
            call.arguments.unwrap_or_default(),
        ) {
            Ok(begun) => begun,
            Err(problem) => return Ok(misread(&problem).into()),
        };
        let mut answer = begun.answer;
        let done = progress::reported(begun.doing, &watch, &mut answer, &context);
        tokio::select! {
            done = done => return Ok(result(done, client.is_simulated()).into()),
            () = context.ct.cancelled() => {}
        }
        if begun.undone_if_cancelled {
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

fn misread(problem: &Problem) -> CallToolResult {
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
