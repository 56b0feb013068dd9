//! `start_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerChanged, Effect, Endpoint, StartContainer, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    changed::{Changed, Manner},
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Username of the container to start
    username: Username,
    /// Answer at once with the operation; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
}

impl From<Start> for StartContainer {
    fn from(Start { username, .. }: Start) -> Self {
        Self { username }
    }
}

impl Form for Start {
    const NAME: &'static str = "start_container";
    const TITLE: &'static str = "Start a container";
    const ABOUT: &'static str = "Start a stopped container. Answers when a login works. One that runs \
        already is left as it is, and `message` says so.";
    const EFFECT: Effect = StartContainer::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Changed<ContainerChanged>;

    fn doing(&self) -> Option<String> {
        Some(format!("starting {}", self.username.container_name()))
    }

    async fn call(
        self,
        client: &Client,
        watch: &Watch,
    ) -> Result<Changed<ContainerChanged>, CallError> {
        let manner = Manner::of(self.asynchronous);
        watch
            .change(client, &StartContainer::from(self), manner)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let form: Start = serde_json::from_str(r#"{"username":"alice"}"#).unwrap();
        assert_eq!(
            StartContainer::from(form),
            StartContainer {
                username: "alice".parse().unwrap()
            }
        );
    }
}
