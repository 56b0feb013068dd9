//! `list_operations`.

use std::num::NonZeroU32;

use containarium_client::{CallError, Client};
use containarium_contract::{
    Effect, Endpoint, ListOperations, OperationId, OperationList, OperationState, Target,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListOps {
    /// Only those in this state
    #[serde(default)]
    state: Option<OperationState>,
    /// Only those on this username or image
    #[serde(default)]
    target: Option<Target>,
    /// At most so many
    #[serde(default = "page")]
    limit: NonZeroU32,
    /// The `nextCursor` of the answer before, for the next page
    #[serde(default)]
    cursor: Option<OperationId>,
}

fn page() -> NonZeroU32 {
    const { NonZeroU32::new(10).unwrap() }
}

impl From<ListOps> for ListOperations {
    fn from(form: ListOps) -> Self {
        let ListOps {
            state,
            target,
            limit,
            cursor,
        } = form;
        Self {
            state,
            target,
            limit: Some(limit),
            cursor,
            ..Self::default()
        }
    }
}

impl Form for ListOps {
    const NAME: &'static str = "list_operations";
    const TITLE: &'static str = "List operations";
    const ABOUT: &'static str = "List what is under way and what was, the youngest first, 10 at a time: \
        creates, deletes, starts and other changes with their state, who began them and why they failed. \
        Those that ended are kept for 7 days. For one, use get_operation.";
    const EFFECT: Effect = ListOperations::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Operations;
    type Answer = OperationList;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<OperationList, CallError> {
        client.call(&ListOperations::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let sent = r#"{"state":"failed","target":"alice","limit":3,"cursor":"01JD3ZQ8M4K6T1W9V5R2X7Y0BC"}"#;
        let form: ListOps = serde_json::from_str(sent).unwrap();
        let wanted: ListOperations = serde_json::from_str(sent).unwrap();
        assert_eq!(ListOperations::from(form), wanted);
    }
}
