//! `undelete_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerChanged, Effect, Endpoint, UndeleteContainer, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{progress::Watch, tool::Form};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undelete {
    /// Username of the container to bring back
    username: Username,
}

impl From<Undelete> for UndeleteContainer {
    fn from(Undelete { username }: Undelete) -> Self {
        Self { username, id: None }
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
    type Answer = ContainerChanged;

    fn doing(&self) -> Option<String> {
        Some(format!("bringing back {}", self.username.container_name()))
    }

    async fn call(self, client: &Client, watch: &Watch) -> Result<ContainerChanged, CallError> {
        watch.follow(client, &UndeleteContainer::from(self)).await
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
