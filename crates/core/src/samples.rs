//! What containers use, as it was last measured: told from memory, measured anew in the background
//! when somebody looks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use containarium_contract::Metrics;
use tokio::sync::Semaphore;

use crate::{Containarium, Error, Record, questions::Question, read::metrics};

/// A sample that is older is taken anew when somebody looks.
const FRESH: Duration = Duration::from_secs(5);
/// Containers that are measured at a time, each over a connection of its own to the engine.
const AT_ONCE: usize = 16;

/// What one container uses; `None` where the engine does not have it.
type Sample = Question<Option<Metrics>>;

/// The last samples, by container.
#[derive(Debug)]
pub(crate) struct Samples {
    last: Mutex<HashMap<String, Sample>>,
    places: Semaphore,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        }
    }
}

impl Samples {
    fn last(&self) -> MutexGuard<'_, HashMap<String, Sample>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the question what a container uses.
    pub(crate) fn of(&self, id: &str) -> Sample {
        let mut last = self.last();
        if let Some(known) = last.get(id) {
            return known.clone();
        }
        last.entry(id.to_owned()).or_default().clone()
    }

    /// Returns the last sample of a container.
    pub(crate) fn newest(&self, id: &str) -> Option<Metrics> {
        self.last().get(id)?.newest().flatten()
    }

    /// Forgets those of containers that are gone.
    pub(crate) fn retain(&self, there: impl Fn(&str) -> bool) {
        self.last().retain(|id, _| there(id));
    }
}

impl Containarium {
    /// The last sample of a container, where there is one. An old one, or none, makes us take another,
    /// in the background.
    pub(crate) fn sample(&self, record: &Record) -> Option<Metrics> {
        let sample = self.inner.samples.of(&record.id);
        if sample.age().is_none_or(|age| age >= FRESH) {
            let record = Arc::new(record.clone());
            sample.ask(self, |core| core.measure(record));
        }
        sample.newest().flatten()
    }

    /// Measures what a container uses, and looks whether its logins still work.
    pub(crate) async fn measure(self, record: Arc<Record>) -> Result<Option<Metrics>, Error> {
        let usage = {
            let _place = self.inner.samples.places.acquire().await;
            self.inner.engine.usage(&record.instance()).await
        };
        if let Ok(Some((_, usage))) = &usage {
            self.inner.inventory.set_pid(&record.instance(), usage.pid);
        }
        let (this, looked_at) = (self.clone(), Arc::clone(&record));
        self.inner
            .tasks
            .spawn(async move { this.look_at_login(&looked_at).await });
        Ok(usage?.map(|(_, usage)| metrics(&record, &usage)))
    }

    /// Measures what every container uses, by the containers' ids.
    pub(crate) async fn measure_all(self) -> Result<Arc<HashMap<String, Metrics>>, Error> {
        let usages = self.inner.engine.usages().await?;
        let mut all = HashMap::new();
        for record in self.inner.store.containers() {
            if let Some(usage) = usages.get(&record.instance()) {
                let metrics = metrics(&record, usage);
                let sample = self.inner.samples.of(&record.id);
                sample.learn(Some(metrics.clone()));
                all.insert(record.id.clone(), metrics);
            }
        }
        Ok(Arc::new(all))
    }
}
