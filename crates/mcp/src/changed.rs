//! What came of a change: its answer, or the operation that makes it, where its caller did not want
//! to wait.

use containarium_client::{Begun, CallError, Client};
use containarium_contract::{Endpoint, Operation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::progress::Watch;

/// Whether a call waits for the end of what it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Wait,
    Async,
}

impl Manner {
    pub(crate) fn of(asynchronous: bool) -> Self {
        if asynchronous {
            Self::Async
        } else {
            Self::Wait
        }
    }
}

/// A change, made or begun.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changed<A> {
    /// What was made, where it was waited for.
    #[serde(flatten)]
    done: Option<A>,
    /// What makes it, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// What to do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<A> Changed<A> {
    /// The same with its answer made another, where there is one.
    pub(crate) fn map<B>(self, make: impl FnOnce(A) -> B) -> Changed<B> {
        Changed {
            done: self.done.map(make),
            operation: self.operation,
            next: self.next,
        }
    }
}

impl Watch {
    /// Makes a change, telling of its operation, or begins it.
    pub(crate) async fn change<E: Endpoint>(
        &self,
        client: &Client,
        request: &E,
        manner: Manner,
    ) -> Result<Changed<E::Answer>, CallError> {
        let done = |answer| Changed {
            done: Some(answer),
            operation: None,
            next: None,
        };
        if manner == Manner::Wait {
            return self.follow(client, request).await.map(done);
        }
        match client.call_async(request).await? {
            Begun::Done(answer) => Ok(done(answer)),
            Begun::Operation(operation) => Ok(Changed {
                next: Some(format!(
                    "call get_operation with {{\"id\":\"{0}\"}} for its end, or cancel_operation to undo it",
                    operation.id
                )),
                operation: Some(*operation),
                done: None,
            }),
        }
    }
}
