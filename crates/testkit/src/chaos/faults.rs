//! What goes wrong in a round of chaos, and in which order: first each kind once, then as it is drawn.

use super::Under;
use crate::Junk;

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The daemon is killed.
    Daemon,
    /// It kills itself at one of its points.
    DaemonAtPoint,
    /// It is killed, and the next one while it recovers.
    DaemonTwice,
    /// The engine is killed, and the daemon is not.
    Engine,
    /// The same, and again when it is back.
    EngineTwice,
    /// First the daemon, then the engine, then the next daemon while it recovers.
    DaemonThenEngine,
    /// First the engine, then the daemon, then the engine again during the recovery.
    EngineThenDaemon,
    /// The engine hangs for a while.
    Pause,
    /// The daemon is killed meanwhile.
    PauseAndDaemon,
    /// Answers of the engine are cut off. Only an incusd in memory does that when it is told to.
    Cut,
}

impl Fault {
    const KINDS: [Self; 10] = [
        Self::Daemon,
        Self::DaemonAtPoint,
        Self::DaemonTwice,
        Self::Engine,
        Self::EngineTwice,
        Self::DaemonThenEngine,
        Self::EngineThenDaemon,
        Self::Pause,
        Self::PauseAndDaemon,
        Self::Cut,
    ];

    /// How often it is drawn, against the others: those that find most.
    fn weight(self) -> usize {
        match self {
            Self::DaemonAtPoint
            | Self::DaemonTwice
            | Self::DaemonThenEngine
            | Self::EngineThenDaemon => 2,
            Self::Daemon
            | Self::Engine
            | Self::EngineTwice
            | Self::Pause
            | Self::PauseAndDaemon
            | Self::Cut => 1,
        }
    }

    /// Every kind that this engine can be given.
    pub fn of(under: &Under) -> Vec<Self> {
        Self::where_cuts(under.simulated().is_some())
    }

    fn where_cuts(can_be_told: bool) -> Vec<Self> {
        let all = Self::KINDS.into_iter();
        all.filter(|fault| can_be_told || *fault != Self::Cut)
            .collect()
    }

    /// Each of them once, in the seed's order.
    pub(super) fn walk(seed: u64, under: &Under) -> Vec<Self> {
        Self::shuffled(Self::of(under), seed)
    }

    fn shuffled(mut all: Vec<Self>, seed: u64) -> Vec<Self> {
        let mut dice = Junk::of(seed);
        for last in (1..all.len()).rev() {
            all.swap(last, dice.below(last + 1));
        }
        all
    }

    /// One of them.
    pub(super) fn drawn(dice: &mut Junk, under: &Under) -> Self {
        let all = Self::of(under).into_iter();
        let weighted: Vec<Self> = all
            .flat_map(|fault| std::iter::repeat_n(fault, fault.weight()))
            .collect();
        *dice.one(&weighted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_the_order_and_every_kind_comes_once() {
        let walk = |seed| Fault::shuffled(Fault::where_cuts(true), seed);
        assert_eq!(walk(5), walk(5));
        let others = (0..20).filter(|seed| walk(*seed) != walk(5));
        assert!(others.count() > 15, "the seed decides");
        for seed in 0..20 {
            let mut sorted = walk(seed);
            sorted.sort();
            assert_eq!(sorted, Fault::KINDS);
        }
    }

    #[test]
    fn a_real_engine_is_not_given_what_it_cannot_do() {
        let real = Fault::where_cuts(false);
        assert_eq!(real.len(), Fault::KINDS.len() - 1);
        assert!(!real.contains(&Fault::Cut));
    }
}
