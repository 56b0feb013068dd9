//! `list_ssh_keys`.

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Endpoint, ListSshKeys, SshKeyList, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListKeys {
    /// Username of the container
    username: Username,
}

impl From<ListKeys> for ListSshKeys {
    fn from(ListKeys { username }: ListKeys) -> Self {
        Self { username }
    }
}

impl Form for ListKeys {
    const NAME: &'static str = "list_ssh_keys";
    const TITLE: &'static str = "List the SSH keys of a container";
    const ABOUT: &'static str = "List the SSH public keys that may log in to a container: type, \
        fingerprint and comment (whose it is, in its owner's words). Keys that its user added by hand \
        inside are not known to the server and not listed.";
    const EFFECT: Effect = ListSshKeys::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::SshKeys;
    type Answer = SshKeyList;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<SshKeyList, CallError> {
        client.call(&ListSshKeys::from(self)).await
    }
}
