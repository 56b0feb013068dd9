//! The keys that may log in to a container: seen, added and removed. What a key is, is in
//! `ssh_key.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Endpoint, Fingerprint, Method, OperationKind, SshPublicKey, Username};

/// A key as it is shown: by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshKey {
    /// Such as `ssh-ed25519`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names it in a removal: `SHA256:…`, as `ssh-keygen -lf FILE` prints it.
    pub fingerprint: Fingerprint,
    /// Whose it is, in its owner's words; may be empty.
    pub comment: String,
}

impl From<&SshPublicKey> for SshKey {
    fn from(key: &SshPublicKey) -> Self {
        Self {
            kind: key.kind().to_owned(),
            fingerprint: key.fingerprint().clone(),
            comment: key.comment().to_owned(),
        }
    }
}

/// List the SSH keys that may log in to a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListSshKeys {
    /// Whose container
    pub username: Username,
}

/// The answer to [`ListSshKeys`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshKeyList {
    /// In the order in which they were added.
    pub ssh_keys: Vec<SshKey>,
}

impl Endpoint for ListSshKeys {
    const ID: &'static str = "list_ssh_keys";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/containers/{username}/ssh-keys";
    const EFFECT: Effect = Effect::Read;
    type Answer = SshKeyList;
}

/// Let one more SSH key log in to a container, at once; one that may already is no failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddSshKey {
    /// Whose container
    pub username: Username,
    /// The public key, one line of authorized_keys
    pub key: SshPublicKey,
}

/// Stop an SSH key from logging in to a container, at once. Sessions that are open stay open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveSshKey {
    /// Whose container
    pub username: Username,
    /// The key's fingerprint, `SHA256:…`
    pub fingerprint: Fingerprint,
    /// Even if it is the last one, after which nobody can log in
    #[serde(default)]
    pub force: bool,
}

/// The keys of a container after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshKeysChanged {
    /// What was done, or that it was so already.
    pub message: String,
    /// The keys that may log in now, in the order in which they were added.
    pub ssh_keys: Vec<SshKey>,
}

impl Endpoint for AddSshKey {
    const ID: &'static str = "add_ssh_key";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/containers/{username}/ssh-keys";
    const EFFECT: Effect = Effect::Write;
    const OPERATION: Option<OperationKind> = Some(OperationKind::AddSshKey);
    type Answer = SshKeysChanged;
}

impl Endpoint for RemoveSshKey {
    const ID: &'static str = "remove_ssh_key";
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str = "/v1/containers/{username}/ssh-keys/{fingerprint}";
    const EFFECT: Effect = Effect::Write;
    const OPERATION: Option<OperationKind> = Some(OperationKind::RemoveSshKey);
    type Answer = SshKeysChanged;
}
