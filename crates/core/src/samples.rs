//! What containers use, as it was last measured: told from memory, measured anew in the background
//! when somebody looks.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use containarium_contract::Metrics;
use tokio::time::Instant;

use crate::{Containarium, Record, read::metrics};

/// A sample that is older is taken anew when somebody looks.
const FRESH: Duration = Duration::from_secs(5);

/// The last samples, by container.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    last: HashMap<String, (Instant, Metrics)>,
    under_way: HashSet<String>,
}

impl Samples {
    /// The last one, and whether it is time for a new one, which is the caller's to take then.
    fn look(&self, id: &str) -> (Option<Metrics>, bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.last.get(id);
        let fresh = last.is_some_and(|(at, _)| at.elapsed() < FRESH);
        let last = last.map(|(_, metrics)| metrics.clone());
        let take = !fresh && all.under_way.insert(id.to_owned());
        (last, take)
    }

    fn put(&self, id: &str, metrics: Option<Metrics>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.under_way.remove(id);
        if let Some(metrics) = metrics {
            all.last.insert(id.to_owned(), (Instant::now(), metrics));
        }
    }

    /// Forgets those of containers that are gone.
    pub(crate) fn retain(&self, there: impl Fn(&str) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.last.retain(|id, _| there(id));
    }
}

impl Containarium {
    /// The last sample of a container, where there is one. An old one, or none, makes us take another,
    /// in the background.
    pub(crate) fn sample(&self, record: &Record) -> Option<Metrics> {
        let (last, take) = self.inner.samples.look(&record.id);
        if take {
            self.take_sample(record);
        }
        last
    }

    fn take_sample(&self, record: &Record) {
        let (this, record) = (self.clone(), record.clone());
        self.inner.tasks.spawn(async move {
            let usage = this.inner.engine.usage(&record.instance()).await;
            let usage = usage.ok().flatten();
            if let Some((_, usage)) = &usage {
                this.inner.inventory.set_pid(&record.instance(), usage.pid);
            }
            let sample = usage.map(|(_, usage)| metrics(&record, &usage));
            this.inner.samples.put(&record.id, sample);
            this.look_at_login(&record).await;
        });
    }
}
