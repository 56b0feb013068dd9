//! `cancel_operation`.

use containarium_client::{CallError, Client};
use containarium_contract::{CancelOperation, Effect, Endpoint, OperationAnswer, OperationId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelOp {
    /// The operation's id, as a hint shows it
    #[schemars(extend("examples" = ["01JD3ZQ8M4K6T1W9V5R2X7Y0BC"]))]
    id: OperationId,
}

impl From<CancelOp> for CancelOperation {
    fn from(CancelOp { id }: CancelOp) -> Self {
        Self { id }
    }
}

impl Form for CancelOp {
    const NAME: &'static str = "cancel_operation";
    const TITLE: &'static str = "Cancel an operation";
    const ABOUT: &'static str = "Cancel a create or other change that is under way: what it has begun is \
        undone. Answers at once; get_operation shows when its `state` is \"cancelled\", or \
        \"succeeded\" where it was too late. One that is over is refused.";
    const EFFECT: Effect = CancelOperation::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Operations;
    type Answer = OperationAnswer;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<OperationAnswer, CallError> {
        client.call(&CancelOperation::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let sent = r#"{"id":"01JD3ZQ8M4K6T1W9V5R2X7Y0BC"}"#;
        let form: CancelOp = serde_json::from_str(sent).unwrap();
        let wanted: CancelOperation = serde_json::from_str(sent).unwrap();
        assert_eq!(CancelOperation::from(form), wanted);
    }
}
