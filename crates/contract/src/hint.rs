//! What to do next, once as a fact, rendered for who asks.

use crate::{ByteSize, ImageRef, Username};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// See what is there.
    List,
    /// See this one.
    Get(Username),
    /// Stop it first.
    Stop(Username),
    /// Stop it without asking it.
    StopForce(Username),
    /// Start it.
    Start(Username),
    /// Delete it although it runs.
    DeleteForce(Username),
    /// Create under this name.
    CreateAs(Username),
    /// Create from this image.
    CreateFrom(Username, ImageRef),
    /// Create with a disk of this size.
    CreateWithDisk(Username, ByteSize),
    /// Make a token that may.
    MintToken,
    /// Prepare the engine.
    Init,
    /// Look at the engine and try again.
    CheckEngine,
    /// Spell the field like the example.
    Write {
        /// The field, as in the request.
        field: String,
        /// A value that would be taken.
        example: String,
    },
}

impl Hint {
    /// The step in the form of `face`.
    pub fn render(&self, face: Face) -> String {
        match (self, face) {
            (Self::List, Face::Cli) => "run `containarium list`".into(),
            (Self::List, Face::Mcp) => "call list_containers".into(),
            (Self::List, Face::Rest) => "GET /v1/containers".into(),
            (Self::Get(u), Face::Cli) => format!("run `containarium get {u}`"),
            (Self::Get(u), Face::Mcp) => {
                format!("call get_container with {{\"username\":\"{u}\"}}")
            }
            (Self::Get(u), Face::Rest) => format!("GET /v1/containers/{u}"),
            (Self::Stop(u), Face::Cli) => format!("run `containarium stop {u}`"),
            (Self::Stop(u), Face::Mcp) => {
                format!("call stop_container with {{\"username\":\"{u}\"}}")
            }
            (Self::Stop(u), Face::Rest) => format!("POST /v1/containers/{u}/stop"),
            (Self::StopForce(u), Face::Cli) => format!("run `containarium stop {u} --force`"),
            (Self::StopForce(u), Face::Mcp) => {
                format!("call stop_container with {{\"username\":\"{u}\",\"force\":true}}")
            }
            (Self::StopForce(u), Face::Rest) => {
                format!("POST /v1/containers/{u}/stop with {{\"force\":true}}")
            }
            (Self::Start(u), Face::Cli) => format!("run `containarium start {u}`"),
            (Self::Start(u), Face::Mcp) => {
                format!("call start_container with {{\"username\":\"{u}\"}}")
            }
            (Self::Start(u), Face::Rest) => format!("POST /v1/containers/{u}/start"),
            (Self::DeleteForce(u), Face::Cli) => {
                format!("run `containarium delete {u} --force --yes`")
            }
            (Self::DeleteForce(u), Face::Mcp) => {
                format!("call delete_container with {{\"username\":\"{u}\",\"force\":true}}")
            }
            (Self::DeleteForce(u), Face::Rest) => format!("DELETE /v1/containers/{u}?force=true"),
            (Self::CreateAs(u), Face::Cli) => format!("run `containarium create {u}`"),
            (Self::CreateAs(u), Face::Mcp) => {
                format!("call create_container with {{\"username\":\"{u}\"}}")
            }
            (Self::CreateAs(u), Face::Rest) => {
                format!("POST /v1/containers with {{\"username\":\"{u}\"}}")
            }
            (Self::CreateFrom(u, i), Face::Cli) => {
                format!("run `containarium create {u} --image {i}`")
            }
            (Self::CreateFrom(u, i), Face::Mcp) => {
                format!("call create_container with {{\"username\":\"{u}\",\"image\":\"{i}\"}}")
            }
            (Self::CreateFrom(u, i), Face::Rest) => {
                format!("POST /v1/containers with {{\"username\":\"{u}\",\"image\":\"{i}\"}}")
            }
            (Self::CreateWithDisk(u, d), Face::Cli) => {
                format!("run `containarium create {u} --disk {d}`")
            }
            (Self::CreateWithDisk(u, d), Face::Mcp) => {
                format!("call create_container with {{\"username\":\"{u}\",\"disk\":\"{d}\"}}")
            }
            (Self::CreateWithDisk(u, d), Face::Rest) => format!(
                "POST /v1/containers with {{\"username\":\"{u}\",\"resources\":{{\"disk\":\"{d}\"}}}}"
            ),
            (Self::MintToken, Face::Cli | Face::Mcp | Face::Rest) => {
                "on the server, run `containarium token generate --username admin --roles admin \
                 --expiry 24h`"
                    .into()
            }
            (Self::Init, Face::Cli | Face::Mcp | Face::Rest) => {
                "on the server, run `containarium init`".into()
            }
            (Self::CheckEngine, Face::Cli | Face::Mcp | Face::Rest) => {
                "look at the engine on the server with `incus info`, then try again".into()
            }
            (Self::Write { field, example }, Face::Cli | Face::Mcp | Face::Rest) => {
                format!("write `{field}` like {example}")
            }
        }
    }
}
