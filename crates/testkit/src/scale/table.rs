//! What was measured and what is promised, row by row.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What is promised of an optimised build; one that is not, on a machine that does other things, is
/// given so many times as long.
const SLACK: u32 = if cfg!(debug_assertions) { 60 } else { 1 };

/// What is measured, with its bound.
#[derive(Default)]
pub struct Table(BTreeMap<String, (String, bool)>);

impl Table {
    /// A row of a time, with what is promised of an optimised build.
    pub fn time(&mut self, what: &str, took: Duration, bound: Duration) {
        let fits = took <= bound * SLACK;
        self.row(what, format!("{took:.2?} (promised {bound:?})"), fits);
    }

    /// A row.
    pub fn row(&mut self, what: &str, text: String, fits: bool) {
        println!("{what:<50} {text}{}", if fits { "" } else { "  TOO MUCH" });
        self.0.insert(what.to_owned(), (text, fits));
    }

    /// Fails the test where something is over its bound.
    pub fn must_fit(&self) {
        let all = self.0.iter();
        let over: Vec<_> = all.filter(|(_, (_, fits))| !fits).collect();
        assert!(over.is_empty(), "over what is promised: {over:?}");
    }
}

/// Half and 99 of a hundred.
pub async fn timed(times: usize, mut ask: impl AsyncFnMut()) -> (Duration, Duration) {
    let mut all = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        ask().await;
        all.push(begun.elapsed());
    }
    all.sort();
    let at = |n: usize| *all.get((all.len() * n / 100).min(all.len() - 1)).unwrap();
    (at(50), at(99))
}
