//! `undelete_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{
    ContainerChanged, ContainerId, Effect, Endpoint, UndeleteContainer, Username,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    changed::{Changed, Manner},
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undelete {
    /// Username of the container to bring back
    username: Username,
    /// Which one, where several of that username are kept: its `id` in the list of the deleted (default:
    /// the one deleted last)
    #[serde(default)]
    id: Option<ContainerId>,
    /// Answer at once with the operation; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
}

impl From<Undelete> for UndeleteContainer {
    fn from(Undelete { username, id, .. }: Undelete) -> Self {
        Self { username, id }
    }
}

impl Form for Undelete {
    const NAME: &'static str = "undelete_container";
    const TITLE: &'static str = "Bring back a deleted container";
    const ABOUT: &'static str = "Bring back the container of this username that was deleted last, with \
        everything in it, as it was. list_containers with state \"deleted\" shows which there are and, \
        as `deletedUntil`, until when. Refused where the username has a new container by now; the \
        hint says the way out.";
    const EFFECT: Effect = UndeleteContainer::EFFECT;
    // A second call is told that there is no deleted one.
    const IDEMPOTENT: bool = false;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Changed<ContainerChanged>;

    fn doing(&self) -> Option<String> {
        Some(format!("bringing back {}", self.username.container_name()))
    }

    async fn call(
        self,
        client: &Client,
        watch: &Watch,
    ) -> Result<Changed<ContainerChanged>, CallError> {
        let manner = Manner::of(self.asynchronous);
        watch
            .change(client, &UndeleteContainer::from(self), manner)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let form: Undelete = serde_json::from_str(r#"{"username":"alice"}"#).unwrap();
        assert_eq!(
            UndeleteContainer::from(form),
            UndeleteContainer {
                username: "alice".parse().unwrap(),
                id: None
            }
        );
    }
}
