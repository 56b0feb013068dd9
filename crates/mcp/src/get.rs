//! `get_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerAnswer, Effect, Endpoint, GetContainer, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Get {
    /// Username of the container
    username: Username,
}

impl From<Get> for GetContainer {
    fn from(Get { username }: Get) -> Self {
        Self { username }
    }
}

impl Form for Get {
    const NAME: &'static str = "get_container";
    const TITLE: &'static str = "Get a container";
    const ABOUT: &'static str = "Get detailed information about a specific container. Its state, \
        limits, address, SSH keys and labels, and in `metrics` what it uses, as last measured.";
    const EFFECT: Effect = GetContainer::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = ContainerAnswer;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<ContainerAnswer, CallError> {
        client.call(&GetContainer::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let form: Get = serde_json::from_str(r#"{"username":"alice"}"#).unwrap();
        assert_eq!(
            GetContainer::from(form),
            GetContainer {
                username: "alice".parse().unwrap()
            }
        );
    }
}
