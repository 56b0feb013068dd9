//! Watching the engine: its events keep the inventory, and what happened past us is found out and
//! noted.
//!
//! Events are not durable, so: listen, list, then let events say what changed. Where the listening
//! breaks, all of it again.

use std::{sync::Arc, time::Duration};

use containarium_contract::State;
use containarium_incus::{Error as Incus, Events, Happened, Lifecycle};
use tokio::time::{Instant, sleep, timeout};

use crate::{Containarium, Error, Record, exit::Witness, inventory::Login, login, store::Phase};

/// Between two tries to reach the engine, at first and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long the engine may take to a sign of life when it is looked at; and between two looks whether
/// one that boots still runs.
const LOOK: Duration = Duration::from_secs(2);
/// How long an sshd that was known to speak, or not to, may take to be heard.
const DOUBT: Duration = Duration::from_secs(3);

impl Containarium {
    /// Listens to the engine until the daemon stops.
    pub(crate) async fn watch(self) {
        let mut pause = PAUSE.0;
        loop {
            let listened = tokio::select! {
                () = self.inner.closing.cancelled() => return,
                listened = self.listen() => listened,
            };
            match listened {
                Ok(()) => pause = PAUSE.0,
                Err(error) => {
                    tracing::debug!(%error, "the engine is not heard");
                    self.inner.inventory.silent();
                }
            }
            tokio::select! {
                () = self.inner.closing.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Listens until it breaks; an error where it did not even begin.
    async fn listen(&self) -> Result<(), Incus> {
        let mut events = self.inner.engine.events().await?;
        self.inner.inventory.listening(events.heard());
        self.look_at_all().await?;
        self.inner.disagreement.notify_one();
        match self.hear(&mut events).await {
            Incus::Timeout { .. } => tracing::warn!("the engine gives no sign of life"),
            other => tracing::info!(error = %other, "the engine is not heard any more"),
        }
        self.inner.inventory.silent();
        Ok(())
    }

    async fn hear(&self, events: &mut Events) -> Incus {
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(error) => return error,
            };
            // It was stopped for a while and goes on: what it did not tell is looked up.
            let back = self.inner.inventory.is_silent();
            self.inner.inventory.heard();
            if back && let Err(error) = self.look_at_all().await {
                return error;
            }
            if let Happened::Lifecycle(told) = event.happened {
                self.note(told);
            }
        }
    }

    /// Reads a full listing into the inventory, and follows up what it finds changed.
    pub(crate) async fn look_at_all(&self) -> Result<(), Incus> {
        let asked = Instant::now();
        let all = self.inner.engine.list().await?;
        for (instance, was, is) in self.inner.inventory.replace(all, asked) {
            self.came_to_be(&instance, was, is, None);
        }
        self.inner.inventory.heard();
        Ok(())
    }

    /// Looks whether the engine answers, in the background, unless somebody does already.
    pub(crate) fn look_at_engine(&self) {
        if !self.inner.inventory.begin_look() {
            return;
        }
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let was_silent = this.inner.inventory.is_silent();
            match timeout(LOOK, this.inner.engine.server()).await {
                Ok(Ok(_)) => {
                    this.inner.inventory.heard();
                    // Its events go on by themselves, but what came meanwhile may be lost.
                    if was_silent && this.look_at_all().await.is_ok() {
                        this.inner.disagreement.notify_one();
                    }
                }
                Ok(Err(_)) | Err(_) => this.inner.inventory.silent(),
            }
            this.inner.inventory.end_look();
        });
    }

    /// What the engine says to `ask`, as long as it answers at all.
    pub(crate) async fn while_it_answers<T>(
        &self,
        ask: impl Future<Output = Result<T, Incus>>,
    ) -> Result<T, Error> {
        self.engine_answers()?;
        let falls_silent = async {
            loop {
                sleep(LOOK / 2).await;
                if !matches!(timeout(LOOK, self.inner.engine.server()).await, Ok(Ok(_))) {
                    self.inner.inventory.silent();
                    return;
                }
            }
        };
        tokio::select! {
            said = ask => Ok(said?),
            () = falls_silent => Err(Error::EngineSilent),
        }
    }

    /// Takes what the engine told as so. It is a hint: the next listing is the truth.
    fn note(&self, told: Lifecycle) {
        let state = match told.action.as_str() {
            "instance-started" | "instance-resumed" => State::Running,
            // All that is told of a restart, from inside too; it boots from now on.
            "instance-restarted" => {
                self.inner.inventory.restarted(&told.name);
                self.came_to_be(&told.name, Some(State::Stopped), State::Running, None);
                return;
            }
            "instance-shutdown" | "instance-stopped" => State::Stopped,
            "instance-paused" => State::Frozen,
            "instance-deleted" => {
                self.inner.inventory.remove(&told.name);
                self.wake_if_ours(&told.name);
                self.lost(&told.name);
                return;
            }
            // It says nothing of what an instance does: a listing fills the rest in.
            "instance-created" | "instance-renamed" => {
                self.wake_if_ours(&told.name);
                return;
            }
            _ => return,
        };
        let was = self.inner.inventory.set(&told.name, state);
        if was != Some(state) {
            let asked = told.requestor.filter(|who| !who.username.is_empty());
            let asked = asked.map(|who| who.username);
            self.came_to_be(&told.name, was, state, asked);
        }
    }

    /// Something happened to an instance that no operation is at.
    fn wake_if_ours(&self, instance: &str) {
        let id = instance.strip_prefix("c-").unwrap_or(instance);
        if !self.inner.operations.is_busy(id) {
            self.inner.disagreement.notify_one();
        }
    }

    /// Tells that the engine has lost a container, where nobody asked us for that.
    fn lost(&self, instance: &str) {
        let id = instance.strip_prefix("c-").unwrap_or(instance);
        let record = self.inner.store.container_by_id(id);
        let Some(record) = record.filter(|record| record.phase == Phase::Ready) else {
            return;
        };
        if self.inner.operations.is_busy(id) {
            return;
        }
        self.inner.tunnels.ended(&record, "deleted");
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            let lost = Error::Lost(record.username.clone()).to_string();
            tracing::warn!(username = %record.username, "the engine has lost a container");
            this.tell_state(&record, State::Error, Some(lost)).await;
        });
    }

    /// Follows up a change of state that no operation made.
    fn came_to_be(&self, instance: &str, was: Option<State>, is: State, asked: Option<String>) {
        let Some(id) = instance.strip_prefix("c-") else {
            return;
        };
        let Some(record) = self.inner.store.container_by_id(id) else {
            return;
        };
        if record.phase == Phase::Deleted && is == State::Running {
            self.inner.disagreement.notify_one();
        }
        if record.phase != Phase::Ready || self.inner.operations.is_busy(id) {
            return;
        }
        let this = self.clone();
        // One that was started past us and ended before a login worked.
        let ran = matches!(was, Some(State::Running | State::Frozen));
        match is {
            State::Running => {
                // A frozen one that goes on has not booted.
                let booted = was.is_some_and(|was| was != State::Frozen);
                let news = was.is_some() || !record.running;
                self.inner
                    .tasks
                    .spawn(async move { this.came_up(record, booted, news).await });
            }
            State::Frozen if was.is_some() => {
                self.inner
                    .tasks
                    .spawn(async move { this.tell_state(&record, State::Frozen, None).await });
            }
            State::Stopped if record.running || ran => {
                let began = Instant::now();
                self.inner.tasks.spawn(async move {
                    let witness = Witness {
                        requestor: asked,
                        seen: was.is_some(),
                        ran,
                    };
                    this.went_down(record, witness, began).await;
                });
            }
            State::Creating
            | State::Stopped
            | State::Frozen
            | State::Starting
            | State::Stopping
            | State::Error
            | State::Deleting
            | State::Deleted => {}
        }
    }

    /// Finds out whether a login works to one that runs, and was not known before.
    pub(crate) fn follow_up(&self, record: &Record) {
        let seen = self.inner.inventory.state(&record.instance());
        if let Some((is, _)) = seen {
            self.came_to_be(&record.instance(), None, is, None);
        }
    }

    /// Follows up what happened to a container while an operation worked on it.
    pub(crate) fn catch_up(&self, id: &str) {
        let Some(record) = self.inner.store.container_by_id(id) else {
            return;
        };
        let instance = record.instance();
        match self.inner.inventory.state(&instance) {
            // Somebody has looked.
            Some((State::Running, Login::Works | Login::Silent)) | None => {}
            Some((is, Login::Unknown | Login::Works | Login::Silent)) => {
                self.came_to_be(&instance, Some(is), is, None);
            }
        }
    }

    /// A container that runs is there for its users once its sshd speaks. Whether it has just `booted`,
    /// and whether that it runs is `news`.
    async fn came_up(&self, record: Arc<Record>, booted: bool, news: bool) {
        let inventory = &self.inner.inventory;
        let instance = record.instance();
        let began = inventory.up_since(&instance);
        if booted {
            self.tell_state(&record, State::Starting, None).await;
        }
        let end = Instant::now() + self.inner.patience.boot;
        let spoke = loop {
            let spoke = self.speaks(&record, end.min(Instant::now() + LOOK)).await;
            let still = matches!(inventory.state(&instance), Some((State::Running, _)));
            // Another run of it is another task's.
            if !still || inventory.up_since(&instance) != began {
                return;
            }
            match spoke {
                None => return,
                Some(false) if Instant::now() < end => {}
                Some(spoke) => break spoke,
            }
        };
        self.found(&record, spoke, news).await;
        self.sample(&record);
    }

    /// Whether its sshd speaks before that; `None` where the daemon stops first.
    async fn speaks(&self, record: &Record, before: Instant) -> Option<bool> {
        let sshd = self.inner.engine.installation.at(record.address, 22);
        tokio::select! {
            spoke = login::banner(sshd, before) => Some(spoke),
            () = self.inner.closing.cancelled() => None,
        }
    }

    /// It was found out whether a login works to one that runs. That it does is told where that is
    /// `news`; that it does not, always.
    async fn found(&self, record: &Record, works: bool, news: bool) {
        let login = if works { Login::Works } else { Login::Silent };
        self.inner.inventory.set_login(&record.instance(), login);
        if works && news {
            self.tell_state(record, State::Running, None).await;
        } else if !works {
            let detail = Some(no_login(record));
            self.tell_state(record, State::Error, detail).await;
        }
    }

    /// Something speaks against what is known of a container's logins: they are tried, in the background.
    pub(crate) fn doubt(&self, record: &Record) {
        let instance = record.instance();
        let Some((State::Running, known @ (Login::Works | Login::Silent))) =
            self.inner.inventory.state(&instance)
        else {
            return;
        };
        if self.inner.operations.is_busy(&record.id) || !self.inner.inventory.begin_doubt(&instance)
        {
            return;
        }
        let (this, record) = (self.clone(), record.clone());
        self.inner.tasks.spawn(async move {
            let began = this.inner.inventory.up_since(&instance);
            let spoke = this.speaks(&record, Instant::now() + DOUBT).await;
            let now = this.inner.inventory.state(&instance);
            let same = now == Some((State::Running, known))
                && this.inner.inventory.up_since(&instance) == began;
            if let Some(works) = spoke
                && same
                && works != (known == Login::Works)
            {
                this.found(&record, works, true).await;
            }
            this.inner.inventory.end_doubt(&instance);
        });
    }

    /// Looks at what can be seen of a container's sshd without a word to it, which it would log.
    pub(crate) async fn look_at_login(&self, record: &Record) {
        let instance = record.instance();
        let inventory = &self.inner.inventory;
        let Some((State::Running, login)) = inventory.state(&instance) else {
            return;
        };
        let listens = match inventory.pid(&instance) {
            Some(pid) => login::listens(pid).await,
            None => None,
        };
        match (login, listens) {
            (Login::Works, Some(false)) | (Login::Silent, Some(true) | None) => self.doubt(record),
            (Login::Works, Some(true) | None)
            | (Login::Silent, Some(false))
            | (Login::Unknown, _) => {}
        }
    }

    /// Notes and tells that a container is in another state now.
    pub(crate) async fn tell_state(&self, record: &Record, state: State, detail: Option<String>) {
        let record = record.clone();
        let noted = self.inner.store.write(move |tx| {
            if state == State::Running {
                tx.set_running(&record.id, true)?;
            }
            tx.tell_state(&record, state, detail)
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "a change of state is not noted");
        }
    }
}

/// Why one that runs is shown as `error`.
pub(crate) fn no_login(record: &Record) -> String {
    format!(
        "{} runs, but its sshd does not answer: no login works",
        record.username.container_name()
    )
}
