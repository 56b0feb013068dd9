//! Standbys that are neither made, nor wait, nor are anybody's, nor are being removed. A moment of
//! that is nothing; what stays so was forgotten.

use std::{collections::HashMap, time::Duration};

use containarium_contract::State;
use tokio::time::Instant;

use crate::Containarium;

/// How long one may be so.
const MOMENT: Duration = Duration::from_secs(60);

/// Since when each is seen so.
pub(super) type Strays = HashMap<String, Instant>;

impl Containarium {
    /// Those that have been so for more than a moment, by what is in memory, each with its state. Who
    /// does not ask before that has nothing to go by, so each pass of the reconciler asks.
    pub(crate) fn strays(&self, now: Instant) -> Vec<(String, State)> {
        let standbys = &self.inner.standbys;
        let making = standbys.under_way().making.clone();
        let found = self.those(|tags, _, seen| {
            let made = making.as_ref().is_some_and(|one| one.id == tags.id);
            (seen.state != State::Frozen && !made).then(|| (tags.id.clone(), seen.state))
        });
        let mut under_way = standbys.under_way();
        let known = &mut under_way.strays;
        known.retain(|id, _| found.iter().any(|(found, _)| found == id));
        let mut found: Vec<_> = found
            .into_iter()
            .filter(|(id, _)| {
                let since = *known.entry(id.clone()).or_insert(now);
                now.duration_since(since) > MOMENT
            })
            .collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        found
    }
}
