//! `delete_container`.

use containarium_client::{CallError, Client};
use containarium_contract::{DeleteContainer, Deleted, Effect, Face, Hint, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{progress::Watch, tool::Form};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// Username of the container to delete
    username: Username,
    /// Force delete even if running
    #[serde(default)]
    force: bool,
}

impl From<Delete> for DeleteContainer {
    fn from(Delete { username, force }: Delete) -> Self {
        Self {
            username,
            force,
            purge: false,
            id: None,
            only_kept: false,
        }
    }
}

impl Form for Delete {
    const NAME: &'static str = "delete_container";
    const TITLE: &'static str = "Delete a container";
    const ABOUT: &'static str = "Delete a container. It is stopped and kept with everything in it, for 24 \
        hours unless the server says otherwise; `deletedUntil` says until when undelete_container brings \
        it back, null that this server keeps nothing. Its username is free at once. A running one is refused \
        unless force is true. To only free its CPU and memory, use stop_container. There is no way to \
        remove one at once from here: for that, a person runs `containarium delete USERNAME --purge`.";
    // The endpoint can also purge, which is for good and so takes a person; this tool cannot.
    const EFFECT: Effect = Effect::Write;
    const IDEMPOTENT: bool = true;
    type Answer = Deleted;

    fn doing(&self) -> Option<String> {
        Some(format!("deleting {}", self.username.container_name()))
    }

    async fn call(self, client: &Client, watch: &Watch) -> Result<Deleted, CallError> {
        let back = Hint::Undelete(self.username.clone()).render(Face::Mcp);
        let mut deleted = watch.follow(client, &DeleteContainer::from(self)).await?;
        // What the daemon says is written down once, for whoever asks.
        if deleted.deleted_until.is_some() {
            deleted.message = format!("{} From here, {back}.", deleted.message);
        }
        Ok(deleted)
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
            let wanted: DeleteContainer = serde_json::from_str(sent).unwrap();
            assert_eq!(DeleteContainer::from(form), wanted);
        }
    }
}
