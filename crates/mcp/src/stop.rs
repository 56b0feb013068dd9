//! `stop_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerChanged, Effect, Endpoint, StopContainer, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    changed::{Changed, Manner},
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// Username of the container to stop
    username: Username,
    /// Force stop (kill) instead of graceful shutdown
    #[serde(default)]
    force: bool,
    /// Answer at once with the operation; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
}

/// How long a shutdown may take, seconds: the contract's default, which models need not choose.
const TIMEOUT: u32 = 30;

impl From<Stop> for StopContainer {
    fn from(
        Stop {
            username, force, ..
        }: Stop,
    ) -> Self {
        Self {
            username,
            force,
            timeout: TIMEOUT,
        }
    }
}

impl Form for Stop {
    const NAME: &'static str = "stop_container";
    const TITLE: &'static str = "Stop a container";
    const ABOUT: &'static str = "Stop a running container. It is asked to shut down and has 30 \
        seconds for that; force kills it instead, and what its programs had not saved is lost. Its \
        disk is kept, and start_container brings it back. One that is stopped already is left as it \
        is, and `message` says so.";
    const EFFECT: Effect = StopContainer::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Changed<ContainerChanged>;

    fn doing(&self) -> Option<String> {
        Some(format!("stopping {}", self.username.container_name()))
    }

    async fn call(
        self,
        client: &Client,
        watch: &Watch,
    ) -> Result<Changed<ContainerChanged>, CallError> {
        let manner = Manner::of(self.asynchronous);
        watch
            .change(client, &StopContainer::from(self), manner)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field_and_the_defaults_are_the_contracts() {
        for sent in [
            r#"{"username":"alice","force":true}"#,
            r#"{"username":"alice"}"#,
        ] {
            let form: Stop = serde_json::from_str(sent).unwrap();
            let wanted: StopContainer = serde_json::from_str(sent).unwrap();
            assert_eq!(StopContainer::from(form), wanted);
        }
    }
}
