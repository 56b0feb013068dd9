//! `remove_ssh_key`.

use containarium_client::{CallError, Client};
use containarium_contract::{
    Effect, Endpoint, Fingerprint, RemoveSshKey, SshKeysChanged, Username,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveKey {
    /// Username of the container
    username: Username,
    /// The key's fingerprint, "SHA256:…", as list_ssh_keys shows it
    fingerprint: Fingerprint,
    /// Remove it even if it is the last one, after which nobody can log in
    #[serde(default)]
    force: bool,
}

impl From<RemoveKey> for RemoveSshKey {
    fn from(form: RemoveKey) -> Self {
        let RemoveKey {
            username,
            fingerprint,
            force,
        } = form;
        Self {
            username,
            fingerprint,
            force,
        }
    }
}

impl Form for RemoveKey {
    const NAME: &'static str = "remove_ssh_key";
    const TITLE: &'static str = "Stop an SSH key from logging in to a container";
    const ABOUT: &'static str = "Stop an SSH key from logging in to a container, at once and for \
        good; list_ssh_keys shows the fingerprints. The last key is refused unless force is true, \
        for nobody could log in afterwards. Sessions that are open stay open, and keys that the user \
        added by hand inside are left alone. To take it back, use add_ssh_key with the same public key.";
    const EFFECT: Effect = RemoveSshKey::EFFECT;
    // A second call is told that the key is not there.
    const IDEMPOTENT: bool = false;
    const TAKES_AWAY: bool = true;
    const TOOLSET: Toolset = Toolset::SshKeys;
    type Answer = SshKeysChanged;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<SshKeysChanged, CallError> {
        client.call(&RemoveSshKey::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field_and_the_defaults_are_the_contracts() {
        const KEY: &str = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";
        for force in ["", r#","force":true"#] {
            let sent = format!(r#"{{"username":"alice","fingerprint":"{KEY}"{force}}}"#);
            let form: RemoveKey = serde_json::from_str(&sent).unwrap();
            let wanted: RemoveSshKey = serde_json::from_str(&sent).unwrap();
            assert_eq!(RemoveSshKey::from(form), wanted);
        }
    }
}
