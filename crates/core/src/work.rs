//! What an operation is to do, as it is written down before it begins: enough for another daemon
//! to go on with it.

use containarium_contract::{
    Fingerprint, ImageRef, InstanceName, OperationKind, ServedFrom, SshPublicKey,
};
use serde::{Deserialize, Serialize};

use crate::step::Step;

/// The work of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Work {
    /// What it shall be is in the container's row.
    Create {
        /// What is made otherwise than asked, each a sentence.
        notes: Vec<String>,
        /// Whether what it takes over is a standby.
        #[serde(default)]
        standby: bool,
        /// A digest of the request, which finds it where the same is asked for again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<String>,
    },
    Delete {
        force: bool,
        /// How long it is kept, seconds; 0: not at all.
        keep: u64,
    },
    Undelete {
        /// Whether it ran when it was deleted.
        start: bool,
    },
    Purge,
    Start,
    Stop {
        force: bool,
        /// Seconds.
        timeout: u32,
    },
    AddSshKey {
        key: SshPublicKey,
    },
    RemoveSshKey {
        fingerprint: Fingerprint,
        force: bool,
    },
    PrepareImage {
        image: ImageRef,
        docker: bool,
        force: bool,
    },
    DeleteImage {
        image: ImageRef,
    },
    Adopt {
        instances: Vec<InstanceName>,
        all: bool,
    },
    PurgeUnclaimed {
        instance: InstanceName,
    },
}

impl Work {
    pub(crate) fn kind(&self) -> OperationKind {
        match self {
            Self::Create { .. } => OperationKind::Create,
            Self::Delete { .. } => OperationKind::Delete,
            Self::Undelete { .. } => OperationKind::Undelete,
            Self::Purge => OperationKind::Purge,
            Self::Start => OperationKind::Start,
            Self::Stop { .. } => OperationKind::Stop,
            Self::AddSshKey { .. } => OperationKind::AddSshKey,
            Self::RemoveSshKey { .. } => OperationKind::RemoveSshKey,
            Self::PrepareImage { .. } => OperationKind::PrepareImage,
            Self::DeleteImage { .. } => OperationKind::DeleteImage,
            Self::Adopt { .. } => OperationKind::Adopt,
            Self::PurgeUnclaimed { .. } => OperationKind::PurgeUnclaimed,
        }
    }

    /// Where what a create makes comes from.
    pub(crate) fn served_from(&self) -> ServedFrom {
        if matches!(self, Self::Create { standby: true, .. }) {
            ServedFrom::Standby
        } else {
            ServedFrom::Cold
        }
    }

    /// Its steps, in their order.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let all = Step::of(self.kind()).iter().copied();
        let without: &[Step] = match self {
            Self::Create { standby: true, .. } => &[Step::Make, Step::Boot],
            Self::Create { standby: false, .. } => &[Step::Claim],
            Self::Delete { keep: 0, .. } => &[Step::Keep],
            Self::Delete { .. } => &[Step::Remove],
            Self::Undelete { start: false } => &[Step::Start, Step::Boot],
            Self::Undelete { .. }
            | Self::Purge
            | Self::Start
            | Self::Stop { .. }
            | Self::AddSshKey { .. }
            | Self::RemoveSshKey { .. }
            | Self::PrepareImage { .. }
            | Self::DeleteImage { .. }
            | Self::Adopt { .. }
            | Self::PurgeUnclaimed { .. } => &[],
        };
        all.filter(|step| !without.contains(step)).collect()
    }
}
