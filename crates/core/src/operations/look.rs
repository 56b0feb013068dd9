//! Looking at operations: listed, read, waited for; and asking one to stop.

use std::time::Duration;

use containarium_contract::{
    CancelOperation, Effect, Face, GetOperation, ListOperations, OperationAnswer, OperationId,
    OperationList, OperationState, WaitOperation,
};
use tokio::time::timeout;

use crate::{
    Containarium, Decision, Error, Principal, Role,
    access::{decide_about, refusal},
    clock,
    store::Op,
};

/// The longest wait for an operation in one call, seconds.
const LONGEST_WAIT: u32 = 120;

impl Containarium {
    /// Operations that `who` may see, the youngest first.
    pub async fn list_operations(
        &self,
        who: &Principal,
        face: Face,
        ask: ListOperations,
    ) -> Result<OperationList, Error> {
        let owner = (!sees_everybodys(who)).then(|| who.subject.clone());
        let limit = ask.limit.map_or(usize::MAX, |limit| limit.get() as usize);
        let mut found = self.inner.store.operations(ask, owner, who.only()).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let operations: Vec<_> = found
            .into_iter()
            .map(|op| self.latest(op).view(face))
            .collect();
        let next_cursor = operations
            .last()
            .filter(|_| more)
            .map(|last| last.id.clone());
        Ok(OperationList {
            operations,
            next_cursor,
        })
    }

    /// One operation.
    pub async fn get_operation(
        &self,
        who: &Principal,
        face: Face,
        ask: GetOperation,
    ) -> Result<OperationAnswer, Error> {
        let op = self.find_operation(who, Effect::Read, &ask.id).await?;
        Ok(answer(&op, face))
    }

    /// One operation, once it is over or the time is.
    pub async fn wait_operation(
        &self,
        who: &Principal,
        face: Face,
        ask: WaitOperation,
    ) -> Result<OperationAnswer, Error> {
        if ask.timeout > LONGEST_WAIT {
            return Err(Error::Wait(ask.timeout));
        }
        let op = self.find_operation(who, Effect::Read, &ask.id).await?;
        if op.state.is_final() {
            return Ok(answer(&op, face));
        }
        let within = Duration::from_secs(ask.timeout.into());
        let closing = self.stopping();
        let _over = tokio::select! {
            over = timeout(within, self.ended(&ask.id)) => over.is_ok(),
            () = closing => false,
        };
        let op = self.find_operation(who, Effect::Read, &ask.id).await?;
        Ok(answer(&op, face))
    }

    /// Asks an operation to stop and to undo what it began.
    pub async fn cancel_operation(
        &self,
        who: &Principal,
        face: Face,
        ask: CancelOperation,
    ) -> Result<OperationAnswer, Error> {
        let op = self.find_operation(who, Effect::Write, &ask.id).await?;
        if op.state.is_final() {
            let (id, state) = (op.id, op.state);
            return Err(Error::OverAlready { id, state });
        }
        // Its task first: what it writes from now on says so, too.
        if let Some(live) = self.inner.operations.get(&ask.id) {
            live.cancel.cancel();
        }
        let id = ask.id.clone();
        let marked = self
            .inner
            .store
            .write(move |tx| tx.mark_cancelling(&id, clock::now_ms()));
        marked.await?;
        let op = self.find_operation(who, Effect::Read, &ask.id).await?;
        Ok(answer(&op, face))
    }

    /// The operation as its task knows it, which may be further than the store.
    fn latest(&self, op: Op) -> Op {
        match self.inner.operations.get(&op.id) {
            // What is over is over, whatever its task has to say yet.
            Some(live) if !op.state.is_final() => {
                let mut now = (**live.now.borrow()).clone();
                if live.cancel.is_cancelled() && !now.state.is_final() {
                    now.state = OperationState::Cancelling;
                }
                now
            }
            Some(_) | None => op,
        }
    }

    async fn find_operation(
        &self,
        who: &Principal,
        effect: Effect,
        id: &OperationId,
    ) -> Result<Op, Error> {
        let missing = || Error::NoOperation(id.clone());
        let op = self.inner.store.operation(id.clone()).await?;
        let op = op.ok_or_else(missing)?;
        match decided(who, effect, &op) {
            Decision::Allow => Ok(self.latest(op)),
            Decision::Forbid => Err(refusal(who, effect)),
            Decision::Hide => Err(missing()),
        }
    }
}

/// Whether `who` may do `effect` to an operation. What has no owner is no container's.
pub(super) fn decided(who: &Principal, effect: Effect, op: &Op) -> Decision {
    let owner = op.owner.as_ref().unwrap_or(&op.actor);
    decide_about(who, effect, owner, &op.target, op.owner.is_some())
}

/// Whether `who` sees what belongs to nobody in particular.
pub(crate) fn sees_all(who: &Principal) -> bool {
    sees_everybodys(who) && !who.is_restricted_to_names()
}

/// Whether it does not matter to `who` whose a container is.
fn sees_everybodys(who: &Principal) -> bool {
    who.is(Role::Admin) || who.is(Role::Viewer)
}

fn answer(op: &Op, face: Face) -> OperationAnswer {
    OperationAnswer {
        operation: op.view(face),
    }
}
