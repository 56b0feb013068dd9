//! How a change was asked for, beside what.

use aws_lc_rs::digest::{SHA256, digest};
use containarium_contract::{Endpoint, IdempotencyKey};

use crate::{Principal, StoreError, store::Request};

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
        let body = serde_json::to_vec(&(E::ID, ask));
        let body = body.map_err(|e| StoreError::Unreadable(e.to_string()))?;
        Ok(Some(Request {
            subject: self.who.subject.clone(),
            key,
            digest: digest(&SHA256, &body).as_ref().to_vec(),
        }))
    }
}
