//! What an admin does when store and engine do not agree: see it, adopt it, or remove it.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Endpoint, EngineHealth, Method, OperationKind, Subject, Username};

/// Something in the engine, or on this host, that no record owns; or a record that nothing is
/// behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leak {
    /// What it is, `instance`, `volume`, `image`, `process`, `operation` or `record`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is so.
    pub detail: String,
}

/// Look for what was left behind. What is being worked on is none. For admins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListLeaks {}

/// The answer to [`ListLeaks`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeakList {
    /// Empty where all is well.
    pub leaks: Vec<Leak>,
    /// Whether the engine answered; where it did not, this says nothing about it.
    pub engine: EngineHealth,
}

impl Endpoint for ListLeaks {
    const ID: &'static str = "list_leaks";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/admin/leaks";
    const EFFECT: Effect = Effect::Read;
    type Answer = LeakList;
}

/// A finished container of this installation that the store does not know, as after the store was
/// lost or an old copy of it brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unclaimed {
    /// The engine's name of it.
    pub instance: String,
    /// Whose it says it is; absent where its tags cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// Its owner, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Subject>,
    /// Unix seconds, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// Until when it is kept, RFC 3339, where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_until: Option<String>,
    /// Why it cannot be adopted; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// The engine's name of a container.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,62}$"))]
pub struct InstanceName(String);

/// Why a text is not an [`InstanceName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's name of a container is 1 to 63 of a-z, 0-9 and hyphen, such as c-01jd3zq8")]
pub struct NotAnInstanceName;

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceName {
    type Err = NotAnInstanceName;

    fn from_str(text: &str) -> Result<Self, NotAnInstanceName> {
        let good = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnInstanceName)
        }
    }
}

impl TryFrom<String> for InstanceName {
    type Error = NotAnInstanceName;
    fn try_from(text: String) -> Result<Self, NotAnInstanceName> {
        text.parse()
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// List containers of this installation that the store does not know. They are never removed
/// unasked. For admins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListUnclaimed {}

/// The answer to [`ListUnclaimed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnclaimedList {
    /// Empty where all is well.
    pub unclaimed: Vec<Unclaimed>,
}

impl Endpoint for ListUnclaimed {
    const ID: &'static str = "list_unclaimed";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/admin/unclaimed";
    const EFFECT: Effect = Effect::Read;
    type Answer = UnclaimedList;
}

/// Take unclaimed containers into the store again, as their tags say they were. For admins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptContainers {
    /// Which, by the engine's name of them
    #[serde(default)]
    pub instances: Vec<InstanceName>,
    /// All that can be adopted
    #[serde(default)]
    pub all: bool,
}

/// The answer to [`AdoptContainers`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// Those that are in the store now.
    pub adopted: Vec<Username>,
    /// Those that are not, each with its obstacle.
    pub refused: Vec<Unclaimed>,
    /// What was done.
    pub message: String,
}

impl Endpoint for AdoptContainers {
    const ID: &'static str = "adopt_containers";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/admin/adopt";
    const EFFECT: Effect = Effect::Write;
    const OPERATION: Option<OperationKind> = Some(OperationKind::Adopt);
    type Answer = Adopted;
}

/// Remove an unclaimed container, for good. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PurgeUnclaimed {
    /// Which, by the engine's name of it
    pub instance: InstanceName,
}

/// The answer to [`PurgeUnclaimed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnclaimedPurged {
    /// What was done.
    pub message: String,
}

impl Endpoint for PurgeUnclaimed {
    const ID: &'static str = "purge_unclaimed";
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str = "/v1/admin/unclaimed/{instance}";
    const EFFECT: Effect = Effect::Destroy;
    const OPERATION: Option<OperationKind> = Some(OperationKind::PurgeUnclaimed);
    type Answer = UnclaimedPurged;
}
