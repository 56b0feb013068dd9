//! `get_operation`.

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Endpoint, GetOperation, OperationAnswer, OperationId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetOp {
    /// The operation's id, as a hint or a container's `lastExit` shows it
    #[schemars(extend("examples" = ["01JD3ZQ8M4K6T1W9V5R2X7Y0BC"]))]
    id: OperationId,
}

impl From<GetOp> for GetOperation {
    fn from(GetOp { id }: GetOp) -> Self {
        Self { id }
    }
}

impl Form for GetOp {
    const NAME: &'static str = "get_operation";
    const TITLE: &'static str = "See how far an operation is";
    const ABOUT: &'static str = "See how far a create, delete, start or other change is, or how it \
        ended: `state`, `steps`, `progress` (0 to 100), who began it, and in `error` why it failed. An \
        operation goes on when the call that began it was cut off. Those that ended are kept for 7 days.";
    const EFFECT: Effect = GetOperation::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Operations;
    type Answer = OperationAnswer;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<OperationAnswer, CallError> {
        client.call(&GetOperation::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let sent = r#"{"id":"01JD3ZQ8M4K6T1W9V5R2X7Y0BC"}"#;
        let form: GetOp = serde_json::from_str(sent).unwrap();
        let wanted: GetOperation = serde_json::from_str(sent).unwrap();
        assert_eq!(GetOperation::from(form), wanted);
    }
}
