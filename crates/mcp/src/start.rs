//! `start_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerChanged, Effect, Endpoint, StartContainer, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{progress::Watch, tool::Form};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Username of the container to start
    username: Username,
}

impl From<Start> for StartContainer {
    fn from(Start { username }: Start) -> Self {
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
    type Answer = ContainerChanged;

    fn doing(&self) -> Option<String> {
        Some(format!("starting {}", self.username.container_name()))
    }

    async fn call(self, client: &Client, watch: &Watch) -> Result<ContainerChanged, CallError> {
        watch.follow(client, &StartContainer::from(self)).await
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
