//! What to do next, once as a fact, rendered for who asks.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ByteSize, Fingerprint, ImageRef, OperationId, Port, Username};

/// Who asks, and so what a next step looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// A person or script with `containarium`.
    Cli,
    /// A model with the MCP tools.
    Mcp,
    /// A program over HTTP.
    Rest,
}

impl Face {
    /// The request header that names the face.
    pub const HEADER: &'static str = "containarium-client";

    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Mcp => "mcp",
            Self::Rest => "rest",
        }
    }

    /// Reads the header; anything else is REST.
    pub fn from_header(value: &str) -> Self {
        match value {
            "cli" => Self::Cli,
            "mcp" => Self::Mcp,
            _ => Self::Rest,
        }
    }
}

/// A next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// See what is there.
    List,
    /// See this one.
    Get(Username),
    /// Start it.
    Start(Username),
    /// Stop it without asking it.
    StopForce(Username),
    /// Delete it although it runs.
    DeleteForce(Username),
    /// Remove it for good, where it could not be kept.
    DeleteForGood(Username),
    /// Bring back the one that was deleted last.
    Undelete(Username),
    /// See which can be brought back.
    ListDeleted,
    /// See how far an operation is.
    GetOperation(OperationId),
    /// See what is under way and what was.
    ListOperations,
    /// See which containers the store does not know.
    ListUnclaimed,
    /// Create from this image.
    CreateFrom(Username, ImageRef),
    /// Create with a disk of this size.
    CreateWithDisk(Username, ByteSize),
    /// See who may log in to it.
    ListKeys(Username),
    /// Let somebody log in to it.
    AddKey(Username),
    /// Take away a key although it is the last.
    RemoveKeyForce(Username, Fingerprint),
    /// Make sshd in it read the keys of Containarium.
    ReadKeys(Username),
    /// Remove what was put in the way of the managed keys.
    ClearKeys(Username),
    /// See which images there are.
    ListImages,
    /// Make another image the default.
    OtherDefault,
    /// Make a token that may.
    MintToken,
    /// Prepare the engine.
    Init,
    /// Look at the engine and try again.
    CheckEngine,
    /// Let a program in the container listen where others reach it.
    Listen(Port),
    /// End tunnels that nobody uses.
    CloseTunnels,
    /// Spell the field like the example.
    Write {
        /// The field, as in the request.
        field: String,
        /// A value that would be taken.
        example: String,
    },
}

/// What sshd in a container must be told, so that the managed keys log in.
const KEY_FILES: &str = "AuthorizedKeysFile .ssh/authorized_keys /etc/containarium/ssh_keys \
                         /etc/containarium/ssh_keys.2";

/// A fingerprint as a segment of a path: base64 has three characters that mean something there.
fn in_path(fingerprint: &Fingerprint) -> String {
    let text = fingerprint.as_str();
    text.replace('/', "%2F")
        .replace('+', "%2B")
        .replace(':', "%3A")
}

/// A step in its three forms, or as a sentence that is the same for everybody.
enum Form {
    Call {
        command: String,
        tool: (&'static str, Value),
        request: String,
    },
    Sentence(String),
}

impl Hint {
    /// The step in the form of `face`.
    pub fn render(&self, face: Face) -> String {
        match (self.form(), face) {
            (Form::Call { command, .. }, Face::Cli) => format!("run `containarium {command}`"),
            (
                Form::Call {
                    tool: (name, Value::Null),
                    ..
                },
                Face::Mcp,
            ) => format!("call {name}"),
            (
                Form::Call {
                    tool: (name, arguments),
                    ..
                },
                Face::Mcp,
            ) => {
                format!("call {name} with {arguments}")
            }
            (Form::Call { request, .. }, Face::Rest) => request,
            (Form::Sentence(text), Face::Cli | Face::Mcp | Face::Rest) => text,
        }
    }

    fn form(&self) -> Form {
        let call = |command: String, name, arguments, request: String| Form::Call {
            command,
            tool: (name, arguments),
            request,
        };
        match self {
            Self::List => call(
                "list".into(),
                "list_containers",
                Value::Null,
                "GET /v1/containers".into(),
            ),
            Self::Get(u) => call(
                format!("get {u}"),
                "get_container",
                json!({ "username": u }),
                format!("GET /v1/containers/{u}"),
            ),
            Self::Start(u) => call(
                format!("start {u}"),
                "start_container",
                json!({ "username": u }),
                format!("POST /v1/containers/{u}/start"),
            ),
            Self::StopForce(u) => call(
                format!("stop {u} --force"),
                "stop_container",
                json!({ "username": u, "force": true }),
                format!("POST /v1/containers/{u}/stop with {{\"force\":true}}"),
            ),
            Self::DeleteForce(u) => call(
                format!("delete {u} --force --yes"),
                "delete_container",
                json!({ "username": u, "force": true }),
                format!("DELETE /v1/containers/{u}?force=true"),
            ),
            // For good, so it takes a person: whoever asks in one of these ways, a person is asked.
            Self::DeleteForGood(u) => call(
                format!("delete {u} --purge"),
                "purge_container",
                json!({ "username": u }),
                format!("DELETE /v1/containers/{u}?purge=true"),
            ),
            Self::Undelete(u) => call(
                format!("undelete {u}"),
                "undelete_container",
                json!({ "username": u }),
                format!("POST /v1/containers/{u}/undelete"),
            ),
            Self::ListDeleted => call(
                "list --state deleted".into(),
                "list_containers",
                json!({ "state": "deleted" }),
                "GET /v1/containers?state=deleted".into(),
            ),
            Self::GetOperation(id) => call(
                format!("operation get {id}"),
                "get_operation",
                json!({ "id": id }),
                format!("GET /v1/operations/{id}"),
            ),
            Self::ListOperations => call(
                "operation list".into(),
                "list_operations",
                Value::Null,
                "GET /v1/operations".into(),
            ),
            Self::ListUnclaimed => Form::Sentence(
                "see which there are: `containarium admin unclaimed`, or GET /v1/admin/unclaimed"
                    .into(),
            ),
            Self::CreateFrom(u, image) => call(
                format!("create {u} --image {image}"),
                "create_container",
                json!({ "username": u, "image": image }),
                format!(
                    "POST /v1/containers with {}",
                    json!({ "username": u, "image": image })
                ),
            ),
            Self::CreateWithDisk(u, disk) => call(
                format!("create {u} --disk {disk}"),
                "create_container",
                json!({ "username": u, "disk": disk }),
                format!(
                    "POST /v1/containers with {}",
                    json!({ "username": u, "resources": { "disk": disk } })
                ),
            ),
            Self::ListKeys(u) => call(
                format!("ssh-key list {u}"),
                "list_ssh_keys",
                json!({ "username": u }),
                format!("GET /v1/containers/{u}/ssh-keys"),
            ),
            // The key is the reader's own: this much stands for it.
            Self::AddKey(u) => call(
                format!("ssh-key add {u} FILE"),
                "add_ssh_key",
                json!({ "username": u, "key": "ssh-ed25519 …" }),
                format!(
                    "POST /v1/containers/{u}/ssh-keys with {}",
                    json!({ "key": "ssh-ed25519 …" })
                ),
            ),
            Self::RemoveKeyForce(u, fingerprint) => call(
                format!("ssh-key remove {u} {fingerprint} --force"),
                "remove_ssh_key",
                json!({ "username": u, "fingerprint": fingerprint, "force": true }),
                format!(
                    "DELETE /v1/containers/{u}/ssh-keys/{}?force=true",
                    in_path(fingerprint)
                ),
            ),
            Self::ReadKeys(u) => Form::Sentence(format!(
                "inside, write the line `{KEY_FILES}` into /etc/ssh/sshd_config.d/10-containarium.conf \
                 and run `sudo systemctl reload ssh`; or move what {u} needs to a new container"
            )),
            Self::ClearKeys(u) => Form::Sentence(format!(
                "inside the container of {u}, make /etc/containarium a directory and remove `ssh_keys` \
                 and `ssh_keys.2` from it, then try again"
            )),
            Self::ListImages => call(
                "image list".into(),
                "list_images",
                Value::Null,
                "GET /v1/images".into(),
            ),
            Self::OtherDefault => Form::Sentence(
                "make another one the default first, on the server, such as `containarium init \
                 --image images:debian/13`"
                    .into(),
            ),
            Self::MintToken => Form::Sentence(
                "on the server, run `containarium token generate --username admin --roles admin \
                 --expiry 24h`"
                    .into(),
            ),
            Self::Init => Form::Sentence("on the server, run `containarium init`".into()),
            Self::CheckEngine => Form::Sentence(
                "on the server, `containarium doctor` says what is wrong; then try again".into(),
            ),
            Self::Listen(port) => Form::Sentence(format!(
                "let the program in the container listen on 0.0.0.0:{port}; on 127.0.0.1 only the \
                 container itself reaches it"
            )),
            Self::CloseTunnels => Form::Sentence(
                "close connections that are not used any more, then try again".into(),
            ),
            Self::Write { field, example } => {
                Form::Sentence(format!("write `{field}` like {example}"))
            }
        }
    }

    /// One of each, for tests that check every form of every hint. A hint that is added does not
    /// compile until it stands here.
    pub fn examples() -> Vec<Self> {
        let Ok(alice) = Username::from_str("alice") else {
            return Vec::new();
        };
        let mut all = vec![
            Self::List,
            Self::Get(alice.clone()),
            Self::Start(alice.clone()),
            Self::StopForce(alice.clone()),
            Self::DeleteForce(alice.clone()),
            Self::DeleteForGood(alice.clone()),
            Self::Undelete(alice.clone()),
            Self::ListDeleted,
            Self::ListOperations,
            Self::ListUnclaimed,
            Self::CreateWithDisk(alice.clone(), ByteSize::from_bytes(4 << 30)),
            Self::ListKeys(alice.clone()),
            Self::AddKey(alice.clone()),
            Self::ReadKeys(alice.clone()),
            Self::ClearKeys(alice.clone()),
            Self::ListImages,
            Self::OtherDefault,
            Self::MintToken,
            Self::Init,
            Self::CheckEngine,
            Self::Listen(Port::SSH),
            Self::CloseTunnels,
            Self::Write {
                field: "timeout".into(),
                example: "30".into(),
            },
        ];
        all.extend(OperationId::from_str("01JD3ZQ8M4K6T1W9V5R2X7Y0BC").map(Self::GetOperation));
        let fingerprint = "SHA256:ybDwNP7bVbsXw6E/oh9aFoxtDKGBlA2dOzOhzgIlXAo".parse();
        all.extend(fingerprint.map(|key| Self::RemoveKeyForce(alice.clone(), key)));
        all.extend(
            ImageRef::from_str("local:debian/12").map(|image| Self::CreateFrom(alice, image)),
        );
        for hint in &all {
            match hint {
                Self::List
                | Self::Get(_)
                | Self::Start(_)
                | Self::StopForce(_)
                | Self::DeleteForce(_)
                | Self::DeleteForGood(_)
                | Self::Undelete(_)
                | Self::ListDeleted
                | Self::GetOperation(_)
                | Self::ListOperations
                | Self::ListUnclaimed
                | Self::CreateFrom(..)
                | Self::CreateWithDisk(..)
                | Self::ListKeys(_)
                | Self::AddKey(_)
                | Self::RemoveKeyForce(..)
                | Self::ReadKeys(_)
                | Self::ClearKeys(_)
                | Self::ListImages
                | Self::OtherDefault
                | Self::MintToken
                | Self::Init
                | Self::CheckEngine
                | Self::Listen(_)
                | Self::CloseTunnels
                | Self::Write { .. } => {}
            }
        }
        all
    }
}
