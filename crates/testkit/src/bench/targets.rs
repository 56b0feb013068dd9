//! What is wanted of the numbers, and whether it was reached.

use super::{
    subject::{
        ADDED_CREATE, ADDED_DELETE, ADDED_READ, ADDED_START, ADDED_STOP, BURST_LIMITED,
        CREATE_BANNER, CREATE_LOGIN, DAEMON_IDLE, LIST, MCP_IDLE, MCP_START, STANDBY_ANSWER,
        Subject,
    },
    table::number,
    tally::{Row, Tally},
    way::Way,
};

/// One thing that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// What, with its bound.
    pub(super) what: &'static str,
    /// What was measured; `None` where it was not.
    pub(super) measured: Option<f64>,
    /// What it is compared with.
    bound: f64,
    /// Whether more is better.
    at_least: bool,
}

impl Wanted {
    /// Whether it was reached; `None` where it was not measured.
    pub(super) fn is_hit(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(if self.at_least {
            measured >= self.bound
        } else {
            measured <= self.bound
        })
    }

    /// The value and the verdict, in words.
    pub(super) fn told(&self) -> [String; 2] {
        let verdict = match self.is_hit() {
            Some(true) => "hit",
            Some(false) => "**miss**",
            None => "not measured",
        };
        [self.measured.map_or("–".into(), number), verdict.to_owned()]
    }
}

/// All of them.
pub(super) fn targets(tally: &Tally) -> Vec<Wanted> {
    let row = |subject: &Subject| tally.row(subject, None);
    let p50 = |row: Option<&Row>| row?.of(Way::Ours)?.p50();
    let most = |what, measured, bound| Wanted {
        what,
        measured,
        bound,
        at_least: false,
    };
    let least = |what, measured, bound| Wanted {
        what,
        measured,
        bound,
        at_least: true,
    };
    let banner = row(&CREATE_BANNER);
    let burst = tally.row(&BURST_LIMITED, Some(10));
    let tail = |row: &Row| {
        let of = |way| row.of(way)?.percentile(99);
        super::tally::ratio(of(Way::Ours)?, of(Way::Raw)?)
    };
    let listed = tally.row(&LIST, Some(200)).and_then(|row| {
        let of = |way| row.of(way)?.p50();
        super::tally::ratio(of(Way::Incus)?, of(Way::Ours)?)
    });
    vec![
        most(
            "create → SSH banner, p50 as a multiple of raw: ≤ 1.15",
            banner.and_then(|row| row.to_raw(Way::Ours)),
            1.15,
        ),
        most(
            "create → SSH banner, p99 as a multiple of raw's p99: ≤ 2",
            banner.and_then(tail),
            2.0,
        ),
        most("create → SSH banner, p50: ≤ 500 ms", p50(banner), 500.0),
        most(
            "create → ssh login, p50: ≤ 750 ms",
            p50(row(&CREATE_LOGIN)),
            750.0,
        ),
        most(
            "create → answer from standby, p50: ≤ 40 ms",
            p50(row(&STANDBY_ANSWER)),
            40.0,
        ),
        most(
            "create → answer from standby, p99: ≤ 100 ms",
            row(&STANDBY_ANSWER).and_then(|row| row.of(Way::Ours)?.percentile(99)),
            100.0,
        ),
        least(
            "burst of 10, throughput as a multiple of raw's: ≥ 0.95",
            burst.and_then(|row| row.to_raw(Way::Ours)),
            0.95,
        ),
        least(
            "list of 200, times as fast as `incus list`: ≥ 50",
            listed,
            50.0,
        ),
        most(
            "added by the daemon to a read, p50: ≤ 2 ms",
            p50(row(&ADDED_READ)),
            2.0,
        ),
        most(
            "added by the daemon to a create, p50: ≤ 2 ms",
            p50(row(&ADDED_CREATE)),
            2.0,
        ),
        most(
            "added by the daemon to a start, p50: ≤ 2 ms",
            p50(row(&ADDED_START)),
            2.0,
        ),
        most(
            "added by the daemon to a stop, p50: ≤ 2 ms",
            p50(row(&ADDED_STOP)),
            2.0,
        ),
        most(
            "added by the daemon to a delete, p50: ≤ 2 ms",
            p50(row(&ADDED_DELETE)),
            2.0,
        ),
        most(
            "mcp-server from exec to its first tools/list, p50: ≤ 10 ms",
            p50(row(&MCP_START)),
            10.0,
        ),
        most("daemon, idle: ≤ 25 MiB", p50(row(&DAEMON_IDLE)), 25.0),
        most("mcp-server, idle: ≤ 10 MiB", p50(row(&MCP_IDLE)), 10.0),
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
        assert_eq!(none[0].told(), ["–", "not measured"]);
    }

    #[test]
    fn a_bound_itself_is_a_hit_and_more_is_a_miss() {
        let mut tally = Tally::default();
        tally.note(&DAEMON_IDLE, Way::Ours, 25.0);
        tally.note(&MCP_IDLE, Way::Ours, 10.01);
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
        assert_eq!(all[7].told(), ["49.5", "**miss**"]);
    }
}
