//! Removing a container, whether somebody asked for it or its create failed. Begun is done: what
//! the engine cannot do now is tried again until it can, by the next daemon if need be.

use std::time::Duration;

use containarium_contract::{DeleteContainer, Deleted, Effect, OperationId, OperationState, State};

use crate::{
    Containarium, Error, Principal, Record,
    containarium::{now, operation_id},
    store::{Change, Phase, Step, StoreError},
};

/// Between two tries to remove an instance, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl Containarium {
    /// Deletes a container and everything in it.
    pub async fn delete(
        &self,
        who: &Principal,
        request: DeleteContainer,
    ) -> Result<Deleted, Error> {
        let DeleteContainer {
            username, force, ..
        } = request;
        let actor = who.subject.clone();
        self.change_ready(who, Effect::Destroy, username, async move |this, record| {
            let state = this.inner.engine.state(&record.instance()).await?;
            if !force && !matches!(state, Some(State::Stopped) | None) {
                return Err(Error::NotStopped(record.username));
            }
            let operation = operation_id();
            let begun =
                this.inner
                    .store
                    .begin_delete(operation.clone(), record.clone(), actor, now());
            begun.await?;
            let name = record.username.container_name();
            let ending = this.inner.tunnels.ending(&record);
            if let Err(e) = this.inner.engine.remove_in(&record.instance(), state).await {
                let error = this.failed_in("delete", &record, Step::Remove, e, String::new());
                let text = Some(error.to_string());
                let failed = change(operation, OperationState::Failed, text);
                this.inner.store.change(failed, now()).await?;
                this.remove_later(record);
                return Err(error);
            }
            ending.done("deleted");
            let succeeded = change(operation, OperationState::Succeeded, None);
            this.inner
                .store
                .forget(&record.id, now(), Some(succeeded))
                .await?;
            let message = format!("{name} and everything in it is deleted.");
            Ok(Deleted {
                message,
                container_name: name,
                deleted_until: None,
            })
        })
        .await
    }

    /// Takes back a create that failed: nothing of it stays.
    pub(crate) async fn undo(&self, record: Record, failed: Change) {
        let undone = match self.inner.engine.remove(&record.instance()).await {
            Ok(()) => {
                self.inner
                    .store
                    .forget(&record.id, now(), Some(failed))
                    .await
            }
            Err(e) => {
                tracing::warn!(username = %record.username, error = %e, "not removed yet");
                let deleting = Phase::Deleting;
                let noted = self
                    .inner
                    .store
                    .set_phase(&record.id, deleting, now(), failed)
                    .await;
                self.remove_later(record);
                noted
            }
        };
        if let Err(e) = undone {
            tracing::error!(error = %e, "a failed create is not noted; the next start notes it");
        }
    }

    /// Removes a container as soon as the engine lets it, in the background.
    fn remove_later(&self, record: Record) {
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let mut pause = Duration::from_millis(500);
            loop {
                let stop = this.inner.closing.cancelled();
                if tokio::time::timeout(pause, stop).await.is_ok() {
                    return;
                }
                let _claim = this.inner.claims.claim(&record.username).await;
                match this.inner.engine.remove(&record.instance()).await {
                    Ok(()) => break,
                    Err(e) => {
                        tracing::warn!(username = %record.username, error = %e, "not removed yet");
                    }
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if let Err(e) = this.inner.store.forget(&record.id, now(), None).await {
                tracing::error!(error = %e, "a removed container is not noted; the next start notes it");
            }
        });
    }

    /// Takes up what an earlier daemon left half made or half removed: both are removed.
    pub(crate) async fn recover(&self) -> Result<(), StoreError> {
        for record in self.inner.store.containers().await? {
            match record.phase {
                Phase::Ready => {}
                Phase::Creating | Phase::Deleting => {
                    let why = "the daemon ended in the middle of it";
                    self.inner
                        .store
                        .fail_unfinished(&record.id, why, now())
                        .await?;
                    tracing::info!(username = %record.username, "removing what was left half done");
                    self.remove_later(record);
                }
            }
        }
        Ok(())
    }
}

fn change(id: OperationId, state: OperationState, error: Option<String>) -> Change {
    Change {
        id,
        state,
        step: Step::Remove,
        error,
    }
}
