//! What came of a run of chaos, counted.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Under, faults::Fault};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rounds that were ended.
    pub rounds: u64,
    /// How often a daemon was killed, or killed itself at a point.
    pub daemons: u64,
    /// How often an engine was killed.
    pub engines: u64,
    /// How often an engine was stopped for a while.
    pub pauses: u64,
    /// Answers of the engine that were cut off, operations that it forgot.
    pub cuts: u64,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Of these, creates.
    pub created: u64,
    /// Changes without an answer.
    pub unanswered: u64,
    /// Changes that were refused or failed.
    pub refused: u64,
    /// Containers that were stopped and that incusd started when it was started itself.
    pub woken: u64,
    /// The longest that it took until all was in order.
    pub longest: Duration,
    /// How many rounds had which fault.
    pub faults: BTreeMap<Fault, u64>,
    /// What was left behind, or was not so as it was told.
    pub leaks: Vec<String>,
    /// What was acknowledged and is not so.
    pub lost: Vec<String>,
}

impl Tally {
    /// How often something was killed.
    pub fn kills(&self) -> u64 {
        self.daemons + self.engines
    }

    /// The kinds of fault that this engine can be given and no round had.
    pub fn missed(&self, under: &Under) -> Vec<Fault> {
        let mut all = Fault::of(under);
        all.retain(|fault| !self.faults.contains_key(fault));
        all
    }

    /// Whether nothing was left behind and nothing lost.
    pub fn is_good(&self) -> bool {
        self.leaks.is_empty() && self.lost.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds, {} kills ({} of the daemon, {} of incusd), {} pauses, {} answers cut off, {} changes \
             acknowledged ({} creates), {} unanswered, {} refused, {} woken by incusd, clean after {:.1} s at the latest, leaks {}, lost {}; rounds of each fault: {:?}",
            self.rounds,
            self.kills(),
            self.daemons,
            self.engines,
            self.pauses,
            self.cuts,
            self.acknowledged,
            self.created,
            self.unanswered,
            self.refused,
            self.woken,
            self.longest.as_secs_f64(),
            self.leaks.len(),
            self.lost.len(),
            self.faults,
        )
    }
}
