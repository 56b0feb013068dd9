//! A tool: its arguments as a form, and the form's type erased so that tools stand in one list.

use std::{pin::Pin, sync::Arc};

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Problem, accept};
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{own_key::OwnKey, progress::Watch, schema};

/// The arguments of a tool, flat and in snake_case. Its docs are what the model reads of each.
pub(crate) trait Form: DeserializeOwned + JsonSchema + Send + 'static {
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
    /// The REST answer.
    type Answer: Serialize + JsonSchema + Send;

    /// What is being done, where it can take longer than a blink.
    fn doing(&self) -> Option<String>;

    /// Fills in what was left out and the person at this machine has set up once.
    fn complete(&mut self, _own: &OwnKey) -> Result<(), Problem> {
        Ok(())
    }

    /// Asks the daemon; what takes long tells `watch` of its operation.
    fn call(
        self,
        client: &Client,
        watch: &Watch,
    ) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;
}

/// A call under way.
pub(crate) struct Call {
    /// What is being done, where it can take longer than a blink.
    pub(crate) doing: Option<String>,
    /// Whether its operation is to be cancelled with it.
    pub(crate) undone_if_cancelled: bool,
    /// Its end.
    pub(crate) answer: Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>,
}

/// A REST answer in the two forms that a tool result has.
pub(crate) struct Answer {
    /// For programs.
    pub(crate) structured: Value,
    /// The same data for who reads text; fields in the contract's order.
    pub(crate) text: String,
}

/// Reads the arguments against the schema, and begins.
type Start = fn(&JsonObject, Client, Watch, Option<&OwnKey>, JsonObject) -> Result<Call, Problem>;

/// A tool whose form is erased.
pub(crate) struct Tool {
    /// What clients are shown.
    pub(crate) card: rmcp::model::Tool,
    accepted: JsonObject,
    start: Start,
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
            .with_raw_output_schema(Arc::new(schema::answer::<F::Answer>()))
            .with_annotations(hints);
        Self {
            card,
            accepted: schema::accepted::<F>(),
            start: start::<F>,
        }
    }

    /// Reads the arguments and begins; nothing is asked of the daemon before the call is awaited.
    pub(crate) fn start(
        &self,
        client: Client,
        watch: Watch,
        own: Option<&OwnKey>,
        arguments: JsonObject,
    ) -> Result<Call, Problem> {
        (self.start)(&self.accepted, client, watch, own, arguments)
    }
}

fn start<F: Form>(
    accepted: &JsonObject,
    client: Client,
    watch: Watch,
    own: Option<&OwnKey>,
    mut arguments: JsonObject,
) -> Result<Call, Problem> {
    // Models write null for what they leave out.
    arguments.retain(|_, value| !value.is_null());
    let mut form: F = accept(accepted, Value::Object(arguments))?;
    if let Some(own) = own {
        form.complete(own)?;
    }
    let doing = form.doing();
    let answer = Box::pin(async move {
        let answer = form.call(&client, &watch).await?;
        let unwritable = |e: serde_json::Error| CallError::Protocol(e.to_string());
        Ok(Answer {
            structured: serde_json::to_value(&answer).map_err(unwritable)?,
            text: serde_json::to_string_pretty(&answer).map_err(unwritable)?,
        })
    });
    Ok(Call {
        doing,
        undone_if_cancelled: F::UNDONE_IF_CANCELLED,
        answer,
    })
}
