//! `create_container`.

use std::collections::BTreeMap;

use containarium_client::{CallError, Client};
use containarium_contract::{
    ByteSize, Cpus, CreateContainer, Created, Effect, Endpoint, ImageRef, LabelKey, LabelValue,
    Problem, Reason, Resources, SshPublicKey, Subject, Username,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    changed::{Changed, Manner},
    own_key::OwnKey,
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    /// Username for the container: the login user inside, and its address in every other tool. 1 to
    /// 31 of a-z, 0-9 and hyphen, starting with a letter
    username: Username,
    /// CPU limit in cores (e.g., "4" for 4 cores)
    #[serde(default = "default_cpu")]
    cpu: Cpus,
    /// Memory limit (e.g., "4GB", "2048MB")
    #[serde(default = "default_memory")]
    memory: ByteSize,
    /// Disk limit (e.g., "50GB", "100GB")
    #[serde(default = "default_disk")]
    disk: ByteSize,
    /// SSH public keys that may log in, each one line such as "ssh-ed25519 AAAA… alice@laptop"
    #[serde(default)]
    ssh_keys: Vec<SshPublicKey>,
    /// Container image, written REMOTE:ALIAS (default: images:ubuntu/24.04, unless the server was
    /// set up with another; get_system_info shows it as defaultImage)
    #[serde(default)]
    image: Option<ImageRef>,
    /// Enable Docker support
    #[serde(default = "yes")]
    enable_docker: bool,
    /// Labels: words of the user's own about the container, e.g. {"team": "red"}
    #[serde(default)]
    labels: BTreeMap<LabelKey, LabelValue>,
    /// Whose container it is, where the token is an admin's (default: the username)
    #[serde(default)]
    owner: Option<Subject>,
    /// Answer at once with the operation instead of the container; get_operation shows its end
    #[serde(default, rename = "async")]
    asynchronous: bool,
    /// What is to be told of a key that was not named.
    #[serde(skip)]
    note: Option<String>,
}

fn default_cpu() -> Cpus {
    Resources::default().cpu
}

fn default_memory() -> ByteSize {
    Resources::default().memory
}

fn default_disk() -> ByteSize {
    Resources::default().disk
}

fn yes() -> bool {
    true
}

const NO_OWN_KEY: &str = "Without ssh_keys nobody can log in until add_ssh_key is called, so ask the \
                          user for their public key first.";

/// What the tool says of itself where the person at this machine has set up a key.
pub(crate) fn about_with_own_key() -> String {
    Create::ABOUT.replace(
        NO_OWN_KEY,
        "Without ssh_keys the user's own public key is used, which CONTAINARIUM_SSH_KEY_FILE on their \
         machine names.",
    )
}

impl From<Create> for CreateContainer {
    fn from(form: Create) -> Self {
        let Create {
            username,
            cpu,
            memory,
            disk,
            ssh_keys,
            image,
            enable_docker,
            labels,
            owner,
            asynchronous: _,
            note: _,
        } = form;
        let resources = Resources { cpu, memory, disk };
        Self {
            username,
            resources,
            ssh_keys,
            image,
            enable_docker,
            labels,
            owner,
            asynchronous: false,
        }
    }
}

impl Form for Create {
    const NAME: &'static str = "create_container";
    const TITLE: &'static str = "Create a container";
    const ABOUT: &'static str = "Create a new LXC container with specified resources. It is a Linux \
        machine of its own for the user: login over SSH as `username` with the given keys, sudo, and \
        Docker unless enable_docker is false. Answers when a login works, usually within seconds; the \
        first create from an image that is not prepared on the server takes minutes. When `image` is omitted the server's default image is \
        used: images:ubuntu/24.04 unless the server's init chose another (see \
        get_system_info.defaultImage). Without ssh_keys nobody can log in until add_ssh_key is called, so ask \
        the user for their public key first. Pass on to the user: `message` (it says what was done otherwise than \
        asked), `sshCommandRemote` (from a laptop with the containarium command) and `sshCommand` (on \
        the server itself). A username that is taken is refused; the same call again while it is being made \
        waits for that one. With async it answers at once.";
    const EFFECT: Effect = CreateContainer::EFFECT;
    const IDEMPOTENT: bool = false;
    const TOOLSET: Toolset = Toolset::Containers;
    const UNDONE_IF_CANCELLED: bool = true;
    type Answer = Changed<Created>;

    fn doing(&self) -> Option<String> {
        Some(format!("creating {}", self.username.container_name()))
    }

    fn complete(&mut self, own: &OwnKey) -> Result<(), Problem> {
        if !self.ssh_keys.is_empty() {
            return Ok(());
        }
        let key = own.read().map_err(|why| {
            let sentence = format!("`ssh_keys` is not given, and {why}");
            Problem::new(Reason::InvalidValue, sentence)
                .with_hint("give `ssh_keys`, or have the user set the variable right")
        })?;
        self.note = Some(format!(
            "No key was named, so the one of {} on the machine of mcp-server may log in: {} {}.",
            own.name(),
            key.fingerprint(),
            key.comment()
        ));
        self.ssh_keys.push(key);
        Ok(())
    }

    async fn call(mut self, client: &Client, watch: &Watch) -> Result<Changed<Created>, CallError> {
        let note = self.note.take();
        let manner = Manner::of(self.asynchronous);
        let changed = watch
            .change(client, &CreateContainer::from(self), manner)
            .await?;
        Ok(changed.map(|mut created| {
            if let Some(note) = note {
                created.message = format!("{} {note}", created.message);
            }
            created
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use containarium_contract::accept;
    use serde_json::{Value, json};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";

    fn request(arguments: Value) -> CreateContainer {
        accept::<Create>(&schema::accepted::<Create>(), arguments)
            .unwrap()
            .into()
    }

    #[test]
    fn every_argument_reaches_its_field() {
        let given = request(json!({
            "username": "alice", "cpu": 8, "memory": "16GB", "disk": "100GB", "ssh_keys": [KEY],
            "image": "local:debian/12", "enable_docker": false, "labels": {"team": "red"},
            "owner": "bob",
        }));
        let wanted: CreateContainer = serde_json::from_value(json!({
            "username": "alice", "resources": {"cpu": "8", "memory": "16GB", "disk": "100GB"},
            "sshKeys": [KEY], "image": "local:debian/12", "enableDocker": false,
            "labels": {"team": "red"}, "owner": "bob",
        }))
        .unwrap();
        assert_eq!(given, wanted);
    }

    #[test]
    fn with_a_key_of_ones_own_nobody_is_asked_for_one() {
        assert!(Create::ABOUT.contains(NO_OWN_KEY));
        let about = about_with_own_key();
        assert!(about.contains("CONTAINARIUM_SSH_KEY_FILE") && !about.contains(NO_OWN_KEY));
    }

    #[test]
    fn the_defaults_are_the_contracts_and_the_schema_says_them() {
        let wanted: CreateContainer = serde_json::from_value(json!({"username": "alice"})).unwrap();
        assert_eq!(request(json!({"username": "alice"})), wanted);
        let schema = Value::Object(schema::shown::<Create>());
        for (field, default) in [
            ("cpu", json!("4")),
            ("memory", json!("4GB")),
            ("disk", json!("50GB")),
            ("enable_docker", json!(true)),
        ] {
            assert_eq!(schema["properties"][field]["default"], default, "{field}");
        }
        let image = schema["properties"]["image"]["description"]
            .as_str()
            .unwrap();
        assert!(image.contains("default: images:ubuntu/24.04"), "{image}");
        assert_eq!(schema["required"], json!(["username"]));
    }
}
