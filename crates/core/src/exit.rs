//! How a container stopped that nobody stopped through us: when, why, and its last words.

use std::sync::Arc;

use containarium_contract::{Exit, ExitReason, State};
use tokio::time::Instant;

use crate::{
    Containarium, Record, clock,
    kernel_log::{self, Init},
    store::Phase,
};

/// What is known of a stop.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Who asked Incus for it.
    pub(crate) requestor: Option<String>,
    /// Whether it was seen to happen.
    pub(crate) seen: bool,
    /// Whether it was seen to run, whatever is noted of it.
    pub(crate) ran: bool,
}

impl Containarium {
    /// Notes how a container stopped, and that it is in error if it had only just started.
    pub(crate) async fn went_down(&self, record: Arc<Record>, witness: Witness, began: Instant) {
        let instance = record.instance();
        let _claim = self.inner.claims.claim(record.username.as_str()).await;
        // An event may be late: what is so now decides.
        match self.inner.engine.state(&instance).await {
            Ok(Some(State::Stopped)) => {}
            Ok(Some(other)) => {
                self.inner.inventory.set(&instance, other);
                return;
            }
            Ok(None) | Err(_) => return,
        }
        let Some(record) = self.inner.store.container_by_id(&record.id) else {
            return;
        };
        self.inner.tunnels.ended(&record, "stopped");
        if record.phase != Phase::Ready || !(record.running || witness.ran) {
            return;
        }
        // One that somebody stopped has nothing wrong with it.
        let by_itself =
            witness.requestor.is_none() && self.inner.inventory.stop_asked(&instance).is_none();
        let young = by_itself && self.started_within(&record, began);
        let exit = self.how_it_ended(&record, witness).await;
        let detail = exit.detail.clone();
        let fault = young.then(|| {
            format!(
                "{detail}, within {} s of its start",
                self.inner.patience.trial.as_secs()
            )
        });
        let state = if young { State::Error } else { State::Stopped };
        let told = fault.clone().unwrap_or(detail);
        tracing::info!(username = %record.username, reason = ?exit.reason, "a container stopped");
        let noted = self.inner.store.write(move |tx| {
            tx.set_exit(&record.id, &exit, fault.as_deref())?;
            tx.tell_state(&record, state, Some(told))
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "how a container stopped is not noted");
        }
    }

    /// How a container that is stopped now has ended.
    pub(crate) async fn how_it_ended(&self, record: &Record, witness: Witness) -> Exit {
        let instance = record.instance();
        let name = record.username.container_name();
        if let Some(asked) = self.inner.inventory.stop_asked(&instance)
            && witness.requestor.is_none()
        {
            return Exit {
                at: clock::rfc3339(clock::now_ms()),
                ..asked
            };
        }
        let console = self.inner.engine.evidence(&instance).await;
        let began = self.inner.engine.last_start(&instance).await;
        let killed = match began.and_then(|began| began.elapsed().ok()) {
            Some(began) => {
                kernel_log::killed_for_memory(Init {
                    instance,
                    uid: record.uid_base,
                    began,
                })
                .await
            }
            None => false,
        };
        let limit = &record.spec.resources.memory;
        let (reason, detail) = match &witness.requestor {
            Some(who) => (
                ExitReason::Engine,
                format!("{name} was stopped through Incus by `{who}`, past Containarium"),
            ),
            None if killed => (
                ExitReason::OutOfMemory,
                format!(
                    "{name} used more than its {limit} of memory, and the kernel killed its init"
                ),
            ),
            None if witness.seen => (
                ExitReason::Guest,
                format!(
                    "{name} stopped by itself: it was shut down from inside, or its init ended"
                ),
            ),
            None => (
                ExitReason::Unobserved,
                format!("{name} stopped while Containarium was not looking"),
            ),
        };
        Exit {
            at: clock::rfc3339(clock::now_ms()),
            reason,
            detail,
            actor: witness.requestor,
            operation: None,
            console: Some(console).filter(|text| !text.is_empty()),
        }
    }

    fn started_within(&self, record: &Record, ended: Instant) -> bool {
        let up = self.inner.inventory.up_since(&record.instance());
        up.is_some_and(|up| ended.saturating_duration_since(up) < self.inner.patience.trial)
    }
}
