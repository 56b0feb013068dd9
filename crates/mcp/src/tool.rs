//! A tool: its arguments as a form, and the form's type erased so that tools stand in one list.

use std::{
    pin::Pin,
    sync::{Arc, LazyLock},
};

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerId, Effect, Problem, accept};
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{own_key::OwnKey, progress::Watch, schema, secrets, untrusted, word::Stake};

/// The arguments of a tool, flat and in snake_case. Its docs are what the model reads of each.
pub(crate) trait Form: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The tool's name.
    const NAME: &'static str;
    /// The name for people.
    const TITLE: &'static str;
    /// What the tool does: the handbook's sentence, then what a model needs to know.
    const ABOUT: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// Whether a second call changes nothing more.
    const IDEMPOTENT: bool;
    /// Whether a call that is cancelled shall leave nothing behind, and not only be left alone.
    const UNDONE_IF_CANCELLED: bool = false;
    /// Whether it takes something away, so that `--disable-destructive` takes it away.
    const TAKES_AWAY: bool = false;
    /// Which of the sets it belongs to.
    const TOOLSET: Toolset;
    /// The REST answer.
    type Answer: Serialize + JsonSchema + Send;

    /// What is being done, where it can take longer than a blink.
    fn doing(&self) -> Option<String>;

    /// Fills in what was left out and the person at this machine has set up once.
    fn complete(&mut self, _own: &OwnKey) -> Result<(), Problem> {
        Ok(())
    }

    /// What would be gone for good, where a person has to agree first.
    fn stake(
        &self,
        _client: &Client,
    ) -> impl Future<Output = Result<Option<Stake>, CallError>> + Send {
        std::future::ready(Ok(None))
    }

    /// A person agreed, for this container.
    fn agreed(&mut self, _id: Option<ContainerId>) {}

    /// Asks the daemon; what takes long tells `watch` of its operation.
    fn call(
        self,
        client: &Client,
        watch: &Watch,
    ) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;
}

/// Tools that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Toolset {
    /// Containers, from create to purge, and the images they are made from.
    Containers,
    /// Who may log in.
    SshKeys,
    /// What is used, and what the host is.
    Monitoring,
    /// What is under way.
    Operations,
}

/// A call with its arguments read, not begun.
pub(crate) struct Call {
    /// What is being done, where it can take longer than a blink.
    pub(crate) doing: Option<String>,
    /// Whether its operation is to be cancelled with it.
    pub(crate) undone_if_cancelled: bool,
    /// Its form.
    pub(crate) form: Box<dyn AnyForm>,
}

type Promise<'a, T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>>;

/// A [`Form`] whose type is erased.
pub(crate) trait AnyForm: Send + Sync {
    /// See [`Form::stake`].
    fn stake<'a>(&'a self, client: &'a Client) -> Promise<'a, Option<Stake>>;
    /// See [`Form::agreed`].
    fn agreed(&mut self, id: Option<ContainerId>);
    /// See [`Form::call`].
    fn call(self: Box<Self>, client: Client, watch: Watch) -> Promise<'static, Answer>;
}

impl<F: Form> AnyForm for F {
    fn stake<'a>(&'a self, client: &'a Client) -> Promise<'a, Option<Stake>> {
        Box::pin(Form::stake(self, client))
    }

    fn agreed(&mut self, id: Option<ContainerId>) {
        Form::agreed(self, id);
    }

    fn call(self: Box<Self>, client: Client, watch: Watch) -> Promise<'static, Answer> {
        Box::pin(async move {
            let answer = Form::call(*self, &client, &watch).await?;
            let unwritable = |e: serde_json::Error| CallError::Protocol(e.to_string());
            let mut structured = serde_json::to_value(&answer).map_err(unwritable)?;
            untrusted::clean(&mut structured);
            let text = serde_json::to_string_pretty(&structured).map_err(unwritable)?;
            Ok(Answer { structured, text })
        })
    }
}

/// A REST answer in the two forms that a tool result has.
pub(crate) struct Answer {
    /// For programs.
    pub(crate) structured: Value,
    /// The same data for who reads text.
    pub(crate) text: String,
}

/// Reads the arguments against the schema.
type Read = fn(&JsonObject, Option<&OwnKey>, JsonObject) -> Result<Call, Problem>;

/// A tool whose form is erased.
pub(crate) struct Tool {
    /// What clients are shown.
    pub(crate) card: rmcp::model::Tool,
    /// What it does to the world.
    pub(crate) effect: Effect,
    /// Whether it takes something away.
    pub(crate) takes_away: bool,
    /// Which of the sets it belongs to.
    pub(crate) toolset: Toolset,
    /// The schema that arguments are held against, made at the first call.
    accepted: LazyLock<JsonObject>,
    read: Read,
}

impl Tool {
    /// The tool of `F`.
    pub(crate) fn of<F: Form>() -> Self {
        let hints = ToolAnnotations::with_title(F::TITLE)
            .read_only(F::EFFECT == Effect::Read)
            .destructive(F::EFFECT == Effect::Destroy)
            .idempotent(F::IDEMPOTENT)
            // All that is touched is one daemon's own.
            .open_world(false);
        let card = rmcp::model::Tool::new(F::NAME, F::ABOUT, schema::shown::<F>())
            .with_title(F::TITLE)
            .with_raw_output_schema(Arc::new(schema::answer::<F::Answer>(
                F::EFFECT == Effect::Read,
            )))
            .with_annotations(hints);
        Self {
            card,
            effect: F::EFFECT,
            takes_away: F::TAKES_AWAY || F::EFFECT == Effect::Destroy,
            toolset: F::TOOLSET,
            accepted: LazyLock::new(schema::accepted::<F>),
            read: read::<F>,
        }
    }

    /// Reads the arguments; nothing is asked of the daemon yet.
    pub(crate) fn read(
        &self,
        own: Option<&OwnKey>,
        arguments: JsonObject,
    ) -> Result<Call, Problem> {
        (self.read)(&self.accepted, own, arguments)
    }
}

fn read<F: Form>(
    accepted: &JsonObject,
    own: Option<&OwnKey>,
    mut arguments: JsonObject,
) -> Result<Call, Problem> {
    // Models write null for what they leave out.
    arguments.retain(|_, value| !value.is_null());
    let mut form: F = accept(accepted, Value::Object(arguments.clone()))?;
    secrets::refuse(&arguments)?;
    if let Some(own) = own {
        form.complete(own)?;
    }
    Ok(Call {
        doing: form.doing(),
        undone_if_cancelled: F::UNDONE_IF_CANCELLED,
        form: Box::new(form),
    })
}
