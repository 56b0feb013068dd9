//! The tools, answered by a daemon. Not how messages travel.

use std::{panic::AssertUnwindSafe, sync::Arc};

use ::http::request::Parts;
use containarium_client::{Client, Token, TokenSays};
use containarium_contract::{Effect, Restrictions};
use futures_util::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams,
        GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};

use crate::{
    add_key::AddKey,
    call::{Caller, misread},
    cancel_operation::CancelOp,
    completions,
    create::{self, Create},
    delete::Delete,
    get::Get,
    get_operation::GetOp,
    http,
    info::Info,
    instructions::instructions,
    list::List,
    list_images::Images,
    list_keys::ListKeys,
    list_operations::ListOps,
    metrics::Metrics,
    modes::{Modes, NoSuchTool},
    own_key::OwnKey,
    prompts,
    purge::Purge,
    remove_key::RemoveKey,
    resources,
    seal::Seal,
    start::Start,
    stop::Stop,
    tool::{Form as _, Tool},
    undelete::Undelete,
};

/// The tools of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    client: Client,
    tools: Arc<[Tool]>,
    modes: Arc<Modes>,
    own: Option<OwnKey>,
    pub(crate) seal: Arc<Seal>,
}

/// The list changes with the program and its flags, and never while it runs.
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
            Tool::of::<Purge>(),
            Tool::of::<Images>(),
            Tool::of::<ListOps>(),
            Tool::of::<GetOp>(),
            Tool::of::<CancelOp>(),
        ];
        Self {
            client,
            tools: tools.into(),
            modes: Arc::default(),
            own: None,
            seal: Arc::default(),
        }
    }

    /// The same, of which only as much is offered as `modes` leave.
    ///
    /// # Errors
    ///
    /// They name a tool that there is not.
    pub fn with_modes(self, modes: Modes) -> Result<Self, NoSuchTool> {
        modes.check(&self.tools)?;
        Ok(Self {
            client: self.client.restricted(modes.restrictions()),
            modes: Arc::new(modes),
            ..self
        })
    }

    /// The same with a key that is used where a create names none.
    #[must_use]
    pub fn with_own_key(self, own: Option<OwnKey>) -> Self {
        Self { own, ..self }
    }

    /// The client for one request, made once for it: over HTTP each acts with its own token, and gives
    /// up what it says it gives up.
    fn client(&self, context: &RequestContext<RoleServer>) -> Client {
        let Some(parts) = context.extensions.get::<Parts>() else {
            return self.client.clone();
        };
        let Some(token) = http::token(parts) else {
            return self.client.clone();
        };
        let client = self.client.with_token(Token::fixed(token));
        http::restrictions(parts).fold(client, |client, more| client.restricted(more))
    }

    /// What takes the tool away, if something does.
    fn taken_away(&self, tool: &Tool, looks_only: Option<&'static str>) -> Option<&'static str> {
        match self.modes.taken_away_by(tool) {
            None if tool.effect != Effect::Read => looks_only,
            taken => taken,
        }
    }
}

/// Names what leaves the caller that `client` acts for nothing but looking, if something does. It is for
/// showing: the daemon decides at the call.
fn looks_only(client: &Client, context: &RequestContext<RoleServer>) -> Option<&'static str> {
    let by_token = |says: TokenSays| {
        let viewer = !says.roles.is_empty() && says.roles.iter().all(|role| role == "viewer");
        viewer || says.restrictions.read_only
    };
    if client.token().says().is_some_and(by_token) {
        return Some("the token");
    }
    let parts = context.extensions.get::<Parts>();
    let mut given = parts.into_iter().flat_map(http::restrictions);
    given
        .any(|given| given.read_only)
        .then_some(Restrictions::HEADER)
}

impl From<Client> for Tools {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let can = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        ServerConfig::new(can)
            .with_server_info(
                Implementation::new("containarium", env!("CARGO_PKG_VERSION"))
                    .with_title("Containarium"),
            )
            .with_instructions(instructions(self.own.is_some(), &self.modes.told()))
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
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let own_key = self.own.is_some();
        let looks_only = looks_only(&self.client(&context), &context);
        let shown = |tool: &Tool| {
            let mut card = tool.card.clone();
            if own_key && card.name == Create::NAME {
                card.description = Some(create::about_with_own_key().into());
            }
            card
        };
        let offered = |tool: &&Tool| self.taken_away(tool, looks_only).is_none();
        let cards = self.tools.iter().filter(offered).map(shown).collect();
        Ok(ListToolsResult::with_all_items(cards)
            .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
            // It follows the caller.
            .with_cache_scope(CacheScope::Private))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::fixed())
            .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(
            ListResourceTemplatesResult::with_all_items(resources::templates())
                .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }

    async fn read_resource(
        &self,
        ask: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = resources::read(&ask.uri, &self.client(&context)).await?;
        Ok(ReadResourceResult::new(contents)
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private)
            .into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list())
            .with_ttl_ms(LIST_IS_GOOD_FOR_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        ask: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = ask.arguments.unwrap_or_default();
        prompts::get(&ask.name, &arguments).map(Into::into)
    }

    async fn complete(
        &self,
        ask: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let found = completions::complete(&ask, &self.client(&context)).await;
        Ok(CompleteResult::new(found))
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
        // So that a fault of ours is an answer and no silence. What is asked of the client meanwhile finds
        // its way by the task, which thus stays the same.
        let called = AssertUnwindSafe(self.called(call, context)).catch_unwind();
        called.await.unwrap_or_else(|_| {
            let sentence = "the tool failed, and that is a fault in it; what it began may go on: \
                            call list_operations";
            Err(ErrorData::internal_error(sentence, None))
        })
    }
}

impl Tools {
    async fn called(
        &self,
        mut call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = self.client(&context);
        let looks_only = looks_only(&client, &context);
        let find = |tool: &&Tool| tool.card.name == call.name;
        let Some(tool) = self.tools.iter().find(find) else {
            return Err(self.no_such_tool(&call.name, looks_only));
        };
        if let Some(by) = self.taken_away(tool, looks_only) {
            let name = &tool.card.name;
            return Err(ErrorData::invalid_params(
                format!("{name} is not offered: {by} takes it away"),
                None,
            ));
        }
        let arguments = call.arguments.get_or_insert_default().clone();
        match tool.read(self.own.as_ref(), arguments) {
            Ok(begun) => {
                let caller = Caller {
                    client,
                    seal: (!self.modes.allow_irreversible).then_some(&self.seal),
                    request: &call,
                    context: &context,
                };
                caller.makes(begun).await
            }
            Err(problem) => Ok(misread(&problem).into()),
        }
    }

    fn no_such_tool(&self, asked: &str, looks_only: Option<&'static str>) -> ErrorData {
        let offered = self
            .tools
            .iter()
            .filter(|tool| self.taken_away(tool, looks_only).is_none());
        let names: Vec<_> = offered.map(|tool| tool.card.name.as_ref()).collect();
        let asked: String = asked.chars().take(80).collect();
        ErrorData::invalid_params(
            format!(
                "there is no tool `{}`; the tools are {}",
                asked.escape_debug(),
                names.join(", ")
            ),
            None,
        )
    }
}
