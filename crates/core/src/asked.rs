//! How a change was asked for, beside what.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use containarium_contract::{Endpoint, IdempotencyKey, OperationState, Subject};

use crate::{
    Principal, StoreError,
    store::{Op, Request},
    work::Work,
};

/// Who asks for a change, and how the request is told from another.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub who: Principal,
    /// The caller's own name of the request.
    pub key: Option<IdempotencyKey>,
    /// What caused it, in words, such as `a request by cli`.
    pub cause: String,
}

impl From<&Principal> for Asked {
    fn from(who: &Principal) -> Self {
        Self {
            who: who.clone(),
            key: None,
            cause: "a request".into(),
        }
    }
}

impl Asked {
    /// What tells this request from another of the same caller; `None` where it has no key.
    pub(crate) fn request<E: Endpoint>(&self, ask: &E) -> Result<Option<Request>, StoreError> {
        let Some(key) = self.key.clone() else {
            return Ok(None);
        };
        Ok(Some(Request {
            subject: self.who.subject.clone(),
            key,
            digest: told_apart(ask)?,
        }))
    }

    /// What tells a create that is asked for again while the first is under way, with a key or without.
    pub(crate) fn twin<E: Endpoint>(&self, ask: &E, owner: &Subject) -> Result<Twin, StoreError> {
        let mut digest = String::new();
        for byte in told_apart(ask)? {
            // Into a string it does not fail.
            let _ = write!(digest, "{byte:02x}");
        }
        Ok(Twin {
            actor: self.who.subject.clone(),
            owner: owner.clone(),
            digest,
        })
    }
}

/// A digest of what is asked.
fn told_apart<E: Endpoint>(ask: &E) -> Result<Vec<u8>, StoreError> {
    let body = serde_json::to_vec(&(E::ID, ask));
    let body = body.map_err(|e| StoreError::Unreadable(e.to_string()))?;
    Ok(digest(&SHA256, &body).as_ref().to_vec())
}

/// A create that may be under way already: by whom, for whom and as what it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Twin {
    actor: Subject,
    /// The same request may mean another owner where it comes with other roles.
    owner: Subject,
    pub(crate) digest: String,
}

impl Twin {
    /// Whether this operation is that create, and on its way to a container.
    pub(crate) fn is(&self, op: &Op) -> bool {
        let Work::Create { asked, .. } = &op.work else {
            return false;
        };
        matches!(op.state, OperationState::Queued | OperationState::Running)
            && op.actor == self.actor
            && op.owner.as_ref() == Some(&self.owner)
            && asked.as_ref() == Some(&self.digest)
    }
}
