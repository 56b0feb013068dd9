//! `delete_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{DeleteContainer, Deleted, Effect, Face, Hint, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    changed::{Changed, Manner},
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// Username of the container to delete
    username: Username,
    /// Force delete even if running
    #[serde(default)]
    force: bool,
    /// Answer at once with the operation; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
}

impl From<Delete> for DeleteContainer {
    fn from(
        Delete {
            username, force, ..
        }: Delete,
    ) -> Self {
        Self {
            username,
            force,
            purge: false,
            id: None,
            // What this server would not keep goes by purge_container, with a person's word.
            only_kept: true,
        }
    }
}

impl Form for Delete {
    const NAME: &'static str = "delete_container";
    const TITLE: &'static str = "Delete a container";
    const ABOUT: &'static str = "Delete a container. It is stopped and kept with everything in it, for 24 \
        hours unless the server says otherwise; `deletedUntil` says until when undelete_container brings \
        it back, so tell the user. Its username is free at once. A running one is refused unless force is \
        true. To only free its CPU and memory, use stop_container. A server that keeps nothing refuses; \
        then only purge_container removes it.";
    // The endpoint can also purge, which is for good and so takes a person; this tool cannot.
    const EFFECT: Effect = Effect::Write;
    const IDEMPOTENT: bool = true;
    const TAKES_AWAY: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Changed<Deleted>;

    fn doing(&self) -> Option<String> {
        Some(format!("deleting {}", self.username.container_name()))
    }

    async fn call(self, client: &Client, watch: &Watch) -> Result<Changed<Deleted>, CallError> {
        let back = Hint::Undelete(self.username.clone()).render(Face::Mcp);
        let manner = Manner::of(self.asynchronous);
        let changed = watch
            .change(client, &DeleteContainer::from(self), manner)
            .await?;
        // What the daemon says is written down once, for whoever asks.
        Ok(changed.map(|mut deleted| {
            deleted.message = format!("{} From here, {back}.", deleted.message);
            deleted
        }))
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
            let form: Delete = serde_json::from_str(sent).unwrap();
            let wanted = DeleteContainer {
                only_kept: true,
                ..serde_json::from_str(sent).unwrap()
            };
            assert_eq!(DeleteContainer::from(form), wanted);
        }
    }
}
