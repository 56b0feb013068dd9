//! What is wanted of the numbers, and whether it was reached.

use super::{
    subject::{
        ADDED_CREATE, ADDED_DELETE, ADDED_READ, ADDED_START, ADDED_STOP, BURST_LIMITED,
        CREATE_BANNER, CREATE_LOGIN, DAEMON_IDLE, LIST, MCP_IDLE, MCP_START, STANDBY_ANSWER,
        Subject,
    },
    table::number,
    tally::{Row, Series, Tally, ratio},
    way::Way,
};

/// One thing that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// What, with its bound.
    pub(super) what: &'static str,
    /// What was measured; `None` where it was not.
    measured: Option<f64>,
    /// How many values of ours it is from.
    values: usize,
    /// Whether it is a percentile that is the largest value, for want of more of them.
    is_largest: bool,
    bound: Bound,
}

/// What it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What is judged of a row.
#[derive(Clone, Copy, Debug)]
enum Of {
    P50,
    P99,
    /// As a multiple of the raw API's.
    P50ToRaw,
    P99ToRaw,
    /// The p50 of the `incus` command as a multiple of ours.
    TimesAsFast,
}

impl Of {
    fn measured(self, row: &Row) -> Option<f64> {
        let p50 = |way| row.of(way)?.p50();
        let p99 = |way| row.of(way)?.percentile(99);
        match self {
            Self::P50 => p50(Way::Ours),
            Self::P99 => p99(Way::Ours),
            Self::P50ToRaw => row.to_raw(Way::Ours),
            Self::P99ToRaw => ratio(p99(Way::Ours)?, p99(Way::Raw)?),
            Self::TimesAsFast => ratio(p50(Way::Incus)?, p50(Way::Ours)?),
        }
    }

    fn is_tail(self) -> bool {
        match self {
            Self::P99 | Self::P99ToRaw => true,
            Self::P50 | Self::P50ToRaw | Self::TimesAsFast => false,
        }
    }
}

impl Wanted {
    fn new(what: &'static str, row: Option<&Row>, of: Of, bound: Bound) -> Self {
        let ours = row.and_then(|row| row.of(Way::Ours));
        Self {
            what,
            measured: row.and_then(|row| of.measured(row)),
            values: ours.map_or(0, Series::count),
            is_largest: of.is_tail() && ours.is_some_and(|series| series.is_largest(99)),
            bound,
        }
    }

    /// Whether it was reached; `None` where it was not measured.
    pub(super) fn is_hit(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.bound {
            Bound::AtMost(most) => measured <= most,
            Bound::AtLeast(least) => measured >= least,
        })
    }

    /// How many values, what they say, and the verdict, in words.
    pub(super) fn told(&self) -> [String; 3] {
        let verdict = match self.is_hit() {
            Some(true) => "hit",
            Some(false) => "**miss**",
            None => "not measured",
        };
        let measured = self.measured.map_or("–".into(), |value| {
            let largest = if self.is_largest { " max" } else { "" };
            format!("{}{largest}", number(value))
        });
        [self.values.to_string(), measured, verdict.to_owned()]
    }
}

/// All of them.
pub(super) fn targets(tally: &Tally) -> Vec<Wanted> {
    use Bound::{AtLeast, AtMost};
    let one =
        |what, subject: &Subject, of, bound| Wanted::new(what, tally.row(subject, None), of, bound);
    let many = |what, subject: &Subject, at, of, bound| {
        Wanted::new(what, tally.row(subject, Some(at)), of, bound)
    };
    vec![
        one(
            "create → SSH banner, p50 as a multiple of raw: ≤ 1.15",
            &CREATE_BANNER,
            Of::P50ToRaw,
            AtMost(1.15),
        ),
        one(
            "create → SSH banner, p99 as a multiple of raw's p99: ≤ 2",
            &CREATE_BANNER,
            Of::P99ToRaw,
            AtMost(2.0),
        ),
        one(
            "create → SSH banner, p50: ≤ 500 ms",
            &CREATE_BANNER,
            Of::P50,
            AtMost(500.0),
        ),
        one(
            "create → ssh login, p50: ≤ 750 ms",
            &CREATE_LOGIN,
            Of::P50,
            AtMost(750.0),
        ),
        one(
            "create → answer from standby, p50: ≤ 40 ms",
            &STANDBY_ANSWER,
            Of::P50,
            AtMost(40.0),
        ),
        one(
            "create → answer from standby, p99: ≤ 100 ms",
            &STANDBY_ANSWER,
            Of::P99,
            AtMost(100.0),
        ),
        many(
            "burst of 10, throughput as a multiple of raw's: ≥ 0.95",
            &BURST_LIMITED,
            10,
            Of::P50ToRaw,
            AtLeast(0.95),
        ),
        many(
            "list of 200, times as fast as `incus list`: ≥ 50",
            &LIST,
            200,
            Of::TimesAsFast,
            AtLeast(50.0),
        ),
        one(
            "added by the daemon to a read, p50: ≤ 2 ms",
            &ADDED_READ,
            Of::P50,
            AtMost(2.0),
        ),
        one(
            "added by the daemon to a create, p50: ≤ 2 ms",
            &ADDED_CREATE,
            Of::P50,
            AtMost(2.0),
        ),
        one(
            "added by the daemon to a start, p50: ≤ 2 ms",
            &ADDED_START,
            Of::P50,
            AtMost(2.0),
        ),
        one(
            "added by the daemon to a stop, p50: ≤ 2 ms",
            &ADDED_STOP,
            Of::P50,
            AtMost(2.0),
        ),
        one(
            "added by the daemon to a delete, p50: ≤ 2 ms",
            &ADDED_DELETE,
            Of::P50,
            AtMost(2.0),
        ),
        one(
            "mcp-server from exec to its first tools/list, p50: ≤ 10 ms",
            &MCP_START,
            Of::P50,
            AtMost(10.0),
        ),
        one(
            "daemon, idle: ≤ 25 MiB",
            &DAEMON_IDLE,
            Of::P50,
            AtMost(25.0),
        ),
        one("mcp-server, idle: ≤ 9 MiB", &MCP_IDLE, Of::P50, AtMost(9.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_neither_hit_nor_missed() {
        let none = targets(&Tally::default());
        assert_eq!(none.len(), 16);
        assert!(none.iter().all(|wanted| wanted.is_hit().is_none()));
        assert_eq!(none[0].told(), ["0", "–", "not measured"]);
    }

    #[test]
    fn a_bound_itself_is_a_hit_and_more_is_a_miss() {
        let mut tally = Tally::default();
        tally.note(&DAEMON_IDLE, Way::Ours, 25.0);
        tally.note(&MCP_IDLE, Way::Ours, 9.01);
        tally.note_at(&LIST, Some(200), Way::Ours, 2.0);
        tally.note_at(&LIST, Some(200), Way::Incus, 99.0);
        tally.note(&ADDED_CREATE, Way::Ours, -3.0);
        tally.note(&ADDED_STOP, Way::Ours, 2.1);
        tally.note(&CREATE_BANNER, Way::Ours, 460.0);
        tally.note(&CREATE_BANNER, Way::Raw, 400.0);
        tally.note_at(&BURST_LIMITED, Some(10), Way::Ours, 1.0);
        tally.note_at(&BURST_LIMITED, Some(10), Way::Raw, 0.5);
        let all = targets(&tally);
        let hits: Vec<Option<bool>> = all.iter().map(Wanted::is_hit).collect();
        let (yes, no) = (Some(true), Some(false));
        let wanted = [
            yes, yes, yes, None, None, None, yes, no, None, yes, None, no, None, None, yes, no,
        ];
        assert_eq!(hits, wanted);
        assert_eq!(all[7].told(), ["1", "49.5", "**miss**"]);
    }

    #[test]
    fn a_p99_of_fewer_than_a_hundred_values_is_told_as_their_largest() {
        let told = |many: u32| {
            let mut tally = Tally::default();
            for _ in 0..many {
                tally.note(&STANDBY_ANSWER, Way::Ours, 30.0);
            }
            [4, 5].map(|place| targets(&tally)[place].told().join(" "))
        };
        assert_eq!(told(99), ["99 30.0 hit", "99 30.0 max hit"]);
        assert_eq!(told(100), ["100 30.0 hit", "100 30.0 hit"]);
    }
}
