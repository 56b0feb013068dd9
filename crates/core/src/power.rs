//! Starting and stopping a container.

use std::time::Duration;

use containarium_contract::{ContainerChanged, Effect, StartContainer, State, StopContainer};

use crate::{
    Containarium, Error, Principal, Record,
    containarium::{now, shown},
    store::Step,
};

/// The first try of a stop. One sent while the container boots is lost without a word, so a
/// second one follows.
const FIRST_TRY: Duration = Duration::from_secs(5);

impl Containarium {
    /// Starts a container; answers when a login would work.
    pub async fn start(
        &self,
        who: &Principal,
        request: StartContainer,
    ) -> Result<ContainerChanged, Error> {
        let username = request.username;
        self.change_ready(who, Effect::Write, username, async |this, record| {
            let name = record.username.container_name();
            let instance = record.instance();
            let state = shown(&record, this.inner.engine.state(&instance).await?);
            if state == State::Running {
                return Ok(this.changed(record, state, format!("{name} is running already.")));
            }
            let _turn = this.inner.starts.acquire().await;
            let started = match state {
                State::Frozen => this.inner.engine.thaw(&instance).await,
                State::Creating
                | State::Running
                | State::Stopped
                | State::Starting
                | State::Stopping
                | State::Error
                | State::Deleting
                | State::Deleted => this.inner.engine.start(&instance).await,
            };
            if let Err(e) = started {
                let evidence = this.inner.engine.evidence(&instance).await;
                return Err(this.failed_in("start", &record, Step::Engine, e, evidence));
            }
            this.boot("start", &record).await?;
            this.touched(record, State::Running, format!("{name} is running."))
                .await
        })
        .await
    }

    /// Stops a container.
    pub async fn stop(
        &self,
        who: &Principal,
        request: StopContainer,
    ) -> Result<ContainerChanged, Error> {
        if !(1..=600).contains(&request.timeout) {
            return Err(Error::Timeout(request.timeout));
        }
        let username = request.username;
        self.change_ready(who, Effect::Write, username, async move |this, record| {
            let name = record.username.container_name();
            let state = shown(&record, this.inner.engine.state(&record.instance()).await?);
            if state == State::Stopped {
                return Ok(this.changed(record, state, format!("{name} is stopped already.")));
            }
            let ending = this.inner.tunnels.ending(&record);
            if request.force {
                let killed = this.inner.engine.kill(&record.instance()).await;
                killed.map_err(|e| this.not_stopped(&record, e))?;
            } else {
                let timeout = Duration::from_secs(request.timeout.into());
                this.shut_down(&record, state, timeout).await?;
            }
            ending.done("stopped");
            this.touched(record, State::Stopped, format!("{name} is stopped."))
                .await
        })
        .await
    }

    /// Asks the container to shut down, twice if there is time.
    async fn shut_down(
        &self,
        record: &Record,
        state: State,
        timeout: Duration,
    ) -> Result<(), Error> {
        let instance = record.instance();
        if state == State::Frozen {
            // Asked while frozen it never hears, and Incus then shows it as running for good.
            let thawed = self.inner.engine.thaw(&instance).await;
            thawed.map_err(|e| self.not_stopped(record, e))?;
        }
        let first = timeout.min(FIRST_TRY);
        for within in [first, timeout.saturating_sub(first)] {
            if within.is_zero() {
                break;
            }
            match self.inner.engine.stop(&instance, within).await {
                Ok(()) | Err(containarium_incus::Error::Stopped(_)) => return Ok(()),
                Err(e) => tracing::debug!(%instance, error = %e, "did not shut down"),
            }
            if self.inner.engine.state(&instance).await? == Some(State::Stopped) {
                return Ok(());
            }
        }
        Err(Error::StillRunning {
            username: record.username.clone(),
            after: timeout,
        })
    }

    fn not_stopped(&self, record: &Record, error: containarium_incus::Error) -> Error {
        self.failed_in("stop", record, Step::Engine, error, String::new())
    }

    async fn touched(
        &self,
        record: Record,
        state: State,
        message: String,
    ) -> Result<ContainerChanged, Error> {
        let now = now();
        self.inner.store.touch(&record.id, now).await?;
        Ok(self.changed(
            Record {
                updated_at: now,
                ..record
            },
            state,
            message,
        ))
    }

    fn changed(&self, record: Record, state: State, message: String) -> ContainerChanged {
        ContainerChanged {
            message,
            container: self.view(&record, Some(state)),
        }
    }
}
