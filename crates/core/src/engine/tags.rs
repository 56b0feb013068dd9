//! Tags: what an instance says about itself, so that a store that was lost loses no container, and
//! nothing of anybody else's is touched.

use std::{collections::BTreeMap, net::Ipv4Addr};

use containarium_contract::{ImageRef, Resources, Subject, Username};
use containarium_incus::{Error, Instance};

use super::{Engine, INSTALL_TAG, login_keys};
use crate::{Record, Spec, clock, store::Phase};

/// The container's id.
pub(crate) const ID_TAG: &str = "user.containarium.id";
/// How far it is: `creating` until it was there for its users, `ready` from then on.
pub(super) const PHASE: &str = "user.containarium.phase";
pub(super) const CREATING: &str = "creating";
/// Booted for somebody who is to come.
pub(super) const STANDBY: &str = "standby";
pub(super) const IMAGE: &str = "user.containarium.image";
pub(super) const DOCKER: &str = "user.containarium.docker";
/// Incus's own: the fingerprint of the image it was made from.
const MADE_FROM: &str = "volatile.base_image";
const READY: &str = "ready";
/// Until when a deleted one is kept, Unix seconds.
const KEPT_UNTIL: &str = "user.containarium.deleted";
/// Whether a deleted one ran before.
const RAN: &str = "user.containarium.ran";
/// [`Tags::roomy`].
pub(super) const ROOMY: &str = "user.containarium.room";
const LABEL: &str = "user.containarium.label.";

/// What is read of them at each look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    /// The installation's id.
    pub(crate) install: String,
    /// The container's id; empty on builders and on what is not ours.
    pub(crate) id: String,
    /// Whether it was there for its users once.
    pub(crate) ready: bool,
    pub(crate) kept_until: Option<u64>,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) uid_base: Option<u32>,
    /// Where its disk was grown to be started when it was full: how little it must use, bytes, for that to
    /// be taken back.
    pub(crate) roomy: Option<u64>,
    /// When it was made, Unix seconds.
    pub(crate) created_at: u64,
    /// Where nobody has it yet: what it was made from.
    pub(crate) standby: Option<Box<Made>>,
}

/// What a standby was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) image: ImageRef,
    pub(crate) docker: bool,
    /// The image's fingerprint.
    pub(crate) from: String,
}

impl Tags {
    pub(crate) fn of(instance: &Instance) -> Self {
        let tag = |key: &str| instance.config.get(key).map(String::as_str);
        let nic = instance.devices.get("eth0");
        let address = nic.and_then(|nic| nic.get("ipv4.address")?.parse().ok());
        Self {
            install: tag(INSTALL_TAG).unwrap_or_default().to_owned(),
            id: tag(ID_TAG).unwrap_or_default().to_owned(),
            // Those of an older Containarium have no such tag, and were there.
            ready: !matches!(tag(PHASE), Some(CREATING | STANDBY)),
            kept_until: tag(KEPT_UNTIL).and_then(|text| text.parse().ok()),
            address,
            uid_base: tag("security.idmap.base").and_then(|text| text.parse().ok()),
            roomy: tag(ROOMY).and_then(|text| text.parse().ok()),
            created_at: tag("user.containarium.created")
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            standby: (tag(PHASE) == Some(STANDBY))
                .then(|| Made::of(instance))
                .flatten(),
        }
    }
}

impl Made {
    fn of(instance: &Instance) -> Option<Box<Self>> {
        let tag = |key: &str| instance.config.get(key);
        Some(Box::new(Self {
            image: tag(IMAGE)?.parse().ok()?,
            docker: tag(DOCKER)?.parse().ok()?,
            from: tag(MADE_FROM).cloned().unwrap_or_default(),
        }))
    }
}

impl Engine {
    /// Marks an instance as what its record says it is.
    pub(crate) async fn mark(&self, record: &Record) -> Result<(), Error> {
        let (until, ran) = match record.kept_until {
            Some(until) => (until.to_string(), record.running.to_string()),
            None => (String::new(), String::new()),
        };
        let tags = [(PHASE, READY.to_owned()), (KEPT_UNTIL, until), (RAN, ran)];
        self.tag(&record.instance(), &tags).await
    }
}

/// Why a record cannot be made from an instance's tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its tag `{key}` is {}", .value.as_ref().map_or("missing".to_owned(), |v| format!("`{v}`, which cannot be read")))]
pub(crate) struct BadTag {
    key: String,
    value: Option<String>,
}

/// Whose an instance says it is.
pub(crate) fn names(instance: &Instance) -> (Option<Username>, Option<Subject>) {
    let tag = |key: &str| instance.config.get(key);
    (
        tag("user.containarium.username").and_then(|text| text.parse().ok()),
        tag("user.containarium.owner").and_then(|text| text.parse().ok()),
    )
}

/// The record that an instance was made from, as far as its tags tell.
pub(crate) fn record(instance: &Instance, running: bool) -> Result<Record, BadTag> {
    fn tag<T: std::str::FromStr>(
        config: &BTreeMap<String, String>,
        key: &str,
    ) -> Result<T, BadTag> {
        let value = config.get(key);
        let read = value.and_then(|text| text.parse().ok());
        read.ok_or_else(|| BadTag {
            key: key.to_owned(),
            value: value.cloned(),
        })
    }
    let config = &instance.config;
    let read = Tags::of(instance);
    let keys = config.get(login_keys::TAG).map_or("", String::as_str);
    let keys = keys.lines().map(str::parse).collect::<Result<_, _>>();
    let disk = instance.devices.get("root").cloned().unwrap_or_default();
    // Those of an older Containarium tell their limits only as Incus has them.
    let given = |key: &str, limit: Option<&String>| {
        tag(config, key).or_else(|bad| match limit {
            Some(text) => text.parse().map_err(|_| bad),
            None => Err(bad),
        })
    };
    let cpu = tag(config, "user.containarium.cpu").or_else(|_| tag(config, "limits.cpu"))?;
    let labels = config.iter().filter_map(|(key, value)| {
        Some((key.strip_prefix(LABEL)?.parse().ok()?, value.parse().ok()?))
    });
    let created_at = tag(config, "user.containarium.created")?;
    let kept_until = read.kept_until;
    Ok(Record {
        id: tag(config, ID_TAG)?,
        username: tag(config, "user.containarium.username")?,
        owner: tag(config, "user.containarium.owner")?,
        phase: match kept_until {
            Some(_) => Phase::Deleted,
            None => Phase::Ready,
        },
        spec: Spec {
            resources: Resources {
                cpu,
                memory: given("user.containarium.memory", config.get("limits.memory"))?,
                disk: given("user.containarium.disk", disk.get("size"))?,
            },
            ssh_keys: keys.map_err(|_| BadTag {
                key: login_keys::TAG.into(),
                value: config.get(login_keys::TAG).cloned(),
            })?,
            image: tag(config, IMAGE)?,
            docker: tag(config, DOCKER)?,
            labels: labels.collect(),
        },
        address: read.address.ok_or_else(|| BadTag {
            key: "eth0 ipv4.address".into(),
            value: None,
        })?,
        uid_base: tag(config, "security.idmap.base")?,
        running: match kept_until {
            Some(_) => tag(config, RAN).unwrap_or(false),
            None => running,
        },
        kept_until,
        fault: None,
        exit: None,
        created_at,
        updated_at: clock::now(),
    })
}
