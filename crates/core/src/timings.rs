//! How long operations and their steps took, counted since this daemon began.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use containarium_contract::{OperationKind, OperationState};

use crate::{Containarium, Principal, Step, operations::sees_all, store::Op};

/// The upper bounds of what is counted together, milliseconds: from a write to a whole preparation.
const BOUNDS: [u64; 15] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
    600_000,
];

/// How many things took at most how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bound.
    within: [u64; BOUNDS.len()],
    count: u64,
    /// Milliseconds.
    sum: u64,
}

impl Histogram {
    /// One took so many milliseconds.
    fn add(&mut self, took: u64) {
        for (bound, within) in BOUNDS.into_iter().zip(&mut self.within) {
            *within += u64::from(took <= bound);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// Each bound in milliseconds, and how many took no longer.
    pub fn within(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS.into_iter().zip(self.within)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long all of them took together, milliseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// How long operations took that ended since this daemon began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Each step that ended, well or not.
    pub steps: BTreeMap<(OperationKind, Step), Histogram>,
    /// From when they were asked for to their end, by how they ended.
    pub operations: BTreeMap<(OperationKind, OperationState), Histogram>,
}

impl Timings {
    fn add(&mut self, op: &Op) {
        let Some(took) = op.took() else { return };
        let kind = op.kind();
        self.operations
            .entry((kind, op.state))
            .or_default()
            .add(took);
        for step in &op.steps {
            if let Some(took) = step.took() {
                self.steps.entry((kind, step.step)).or_default().add(took);
            }
        }
    }
}

/// The timings of this daemon.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Timings>);

impl Recorder {
    /// Counts an operation that is over.
    pub(crate) fn record(&self, op: &Op) {
        let mut timings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        timings.add(op);
    }
}

impl Containarium {
    /// How long operations take, for those who see everybody's.
    pub fn timings(&self, who: &Principal) -> Option<Timings> {
        let timings = &self.inner.timings.0;
        sees_all(who).then(|| {
            let timings = timings.lock().unwrap_or_else(PoisonError::into_inner);
            timings.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_every_bucket_that_is_wide_enough() {
        let mut histogram = Histogram::default();
        for took in [0, 10, 11, 600_000, 600_001] {
            histogram.add(took);
        }
        assert_eq!((histogram.count(), histogram.sum()), (5, 1_200_022));
        let within: Vec<_> = histogram.within().collect();
        assert_eq!(within[..2], [(10, 2), (25, 3)]);
        assert_eq!(within[within.len() - 1], (600_000, 4));
        assert!(BOUNDS.is_sorted());
    }
}
