//! `add_ssh_key`.

use containarium_client::{CallError, Client};
use containarium_contract::{AddSshKey, Effect, Endpoint, SshKeysChanged, SshPublicKey, Username};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    schema::without_example,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddKey {
    /// Username of the container
    username: Username,
    /// The SSH public key, one line such as "ssh-ed25519 AAAA… alice@laptop"; never a private key
    // The type's example is a whole key: who copies it lets a stranger in.
    #[schemars(transform = without_example)]
    key: SshPublicKey,
}

impl From<AddKey> for AddSshKey {
    fn from(AddKey { username, key }: AddKey) -> Self {
        Self { username, key }
    }
}

impl Form for AddKey {
    const NAME: &'static str = "add_ssh_key";
    const TITLE: &'static str = "Let an SSH key log in to a container";
    const ABOUT: &'static str = "Let one more SSH public key log in to a container, at once and \
        also after a restart; works on a stopped one too. Whoever has the key gets a login with sudo \
        there, so be sure that the user wants this key. A key that may log in already is no failure: \
        it is written again, which helps where a login that should work does not. To take it back, \
        use remove_ssh_key with its fingerprint.";
    const EFFECT: Effect = AddSshKey::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::SshKeys;
    type Answer = SshKeysChanged;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<SshKeysChanged, CallError> {
        client.call(&AddSshKey::from(self)).await
    }
}
