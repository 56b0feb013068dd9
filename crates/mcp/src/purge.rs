//! `purge_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{
    ContainerId, DeleteContainer, Deleted, Effect, GetContainer, Username,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    changed::{Changed, Manner},
    progress::Watch,
    tool::{Form, Toolset},
    word::Stake,
};

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purge {
    /// Username of the container to remove
    username: Username,
    /// Remove it even if it runs
    #[serde(default)]
    force: bool,
    /// Answer at once with the operation; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
    /// The one that a person agreed to.
    #[serde(skip)]
    id: Option<ContainerId>,
}

impl From<Purge> for DeleteContainer {
    fn from(form: Purge) -> Self {
        let Purge {
            username,
            force,
            asynchronous: _,
            id,
        } = form;
        Self {
            username,
            force,
            purge: true,
            id,
            only_kept: false,
        }
    }
}

/// A container that is gone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Purged {
    /// What was done.
    message: String,
    /// `<username>-container`.
    container_name: String,
}

impl Form for Purge {
    const NAME: &'static str = "purge_container";
    const TITLE: &'static str = "Remove a container for good";
    const ABOUT: &'static str = "Remove a container and everything in it at once, for good. Use it only \
        when the user asks for exactly that; delete_container frees the name as well and can be taken \
        back. The person is asked to type the container's name; where the client cannot ask, the call is \
        refused with the command that a person can run. A running one is refused unless force is true.";
    const EFFECT: Effect = Effect::Destroy;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Changed<Purged>;

    fn doing(&self) -> Option<String> {
        Some(format!("removing {}", self.username.container_name()))
    }

    async fn stake(&self, client: &Client) -> Result<Option<Stake>, CallError> {
        let username = self.username.clone();
        let ask = GetContainer {
            username: username.clone(),
        };
        let container = client.call(&ask).await?.container;
        let name = username.container_name();
        let force = if self.force { " --force" } else { "" };
        Ok(Some(Stake {
            sentence: format!(
                "{name} (owner {}, disk {}) and everything in it would be gone for good.",
                container.owner, container.resources.disk
            ),
            command: format!("containarium delete {username}{force} --purge"),
            id: container.id,
            username,
        }))
    }

    fn agreed(&mut self, id: Option<ContainerId>) {
        self.id = id;
    }

    async fn call(self, client: &Client, watch: &Watch) -> Result<Changed<Purged>, CallError> {
        let manner = Manner::of(self.asynchronous);
        let changed = watch
            .change(client, &DeleteContainer::from(self), manner)
            .await?;
        Ok(changed.map(|deleted: Deleted| Purged {
            message: deleted.message,
            container_name: deleted.container_name,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        let form: Purge = serde_json::from_str(r#"{"username":"alice","force":true}"#).unwrap();
        let wanted = r#"{"username":"alice","force":true,"purge":true}"#;
        let wanted: DeleteContainer = serde_json::from_str(wanted).unwrap();
        assert_eq!(DeleteContainer::from(form), wanted);
    }
}
