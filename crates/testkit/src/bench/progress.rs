//! Where a run is: a line for each phase, and within one a round now and then.

use std::time::{Duration, Instant};

/// Between two rounds that are told.
const OFTEN: Duration = Duration::from_secs(10);

/// A phase of a run that has rounds.
pub(super) struct Progress {
    what: &'static str,
    of: u32,
    told: Instant,
}

impl Progress {
    /// It begins, with so many rounds.
    pub(super) fn of(what: &'static str, of: u32) -> Self {
        Self {
            what,
            of,
            told: Instant::now(),
        }
    }

    /// A round of it begins; the one that is not counted is 0.
    pub(super) fn round(&mut self, round: u32) {
        if let Some(line) = self.line(round, Instant::now()) {
            say(&line);
        }
    }

    fn line(&mut self, round: u32, now: Instant) -> Option<String> {
        let Self { what, of, told } = self;
        let is_edge = round <= 1 || round == *of;
        if !is_edge && now.duration_since(*told) < OFTEN {
            return None;
        }
        *told = now;
        Some(if round == 0 {
            format!("{what}: a round that is not counted")
        } else {
            format!("{what}: round {round} of {of}")
        })
    }
}

/// A line of its own.
pub(super) fn say(what: &str) {
    eprintln!("bench: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_the_last_and_one_in_a_while_are_told() {
        let mut progress = Progress::of("lives", 30);
        let begun = Instant::now();
        // Three seconds each.
        let told: Vec<String> = (0..=30)
            .filter_map(|round| progress.line(round, begun + Duration::from_secs(3) * round))
            .collect();
        assert_eq!(told[0], "lives: a round that is not counted");
        assert_eq!(
            told[1..4],
            [1, 5, 9].map(|round| format!("lives: round {round} of 30"))
        );
        assert_eq!(told.last().unwrap(), "lives: round 30 of 30");
    }
}
