//! What was measured and what is promised, row by row.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// An unoptimised build, on a machine that does other things, is given so many times as long as is promised of an optimised
/// one: three times what it needs here.
const SLACK: u32 = 10;

/// How long something took, of several times.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Half of them took no longer.
    pub half: Duration,
    /// 99 of a hundred took no longer.
    pub most: Duration,
}

impl Took {
    /// Of one time.
    pub fn once(took: Duration) -> Self {
        Self {
            half: took,
            most: took,
        }
    }

    /// Whether it keeps a promise. Beside other work the slowest say what that work is, so that of an unoptimised build the
    /// half is looked at.
    fn fits(self, promised: Duration) -> bool {
        if cfg!(debug_assertions) {
            self.half <= promised * SLACK
        } else {
            self.most <= promised
        }
    }
}

/// What is measured, with its bound.
#[derive(Default)]
pub struct Table(BTreeMap<String, (String, bool)>);

impl Table {
    /// A row of a time, with what is promised of an optimised build.
    pub fn time(&mut self, what: &str, took: Took, promised: Duration) {
        let Took { half, most } = took;
        let text = format!("{most:.2?}, half in {half:.2?} (promised {promised:?})");
        self.row(what, text, took.fits(promised));
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

/// Does it so many times.
pub async fn timed(times: usize, mut ask: impl AsyncFnMut()) -> Took {
    let mut all = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        ask().await;
        all.push(begun.elapsed());
    }
    all.sort();
    let at = |n: usize| *all.get((all.len() * n / 100).min(all.len() - 1)).unwrap();
    Took {
        half: at(50),
        most: at(99),
    }
}
