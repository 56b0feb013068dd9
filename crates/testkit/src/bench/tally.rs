//! What was measured so far, and its arithmetic.

use super::{
    stages::Waterfall,
    subject::{SECTIONS, Subject},
    way::Way,
};

/// The values of one way of doing one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series(Vec<f64>);

/// One thing, done in up to three ways.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What is measured.
    pub(super) subject: &'static Subject,
    /// With how many containers, where that makes a difference.
    pub(super) at: Option<u32>,
    series: [Series; 3],
}

/// All rows, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// The rows.
    pub(super) rows: Vec<Row>,
    /// Where creates went.
    pub(super) waterfall: Waterfall,
    /// What was not measured, and why.
    pub(super) left_out: Vec<String>,
}

impl Series {
    /// One value more.
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many values.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that half of them do not exceed: of an even number the middle of the two in the
    /// middle.
    pub(super) fn p50(&self) -> Option<f64> {
        let sorted = self.sorted();
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            many if many % 2 == 1 => sorted.get(half).copied(),
            _ => Some((sorted.get(half - 1)? + sorted.get(half)?) / 2.0),
        }
    }

    /// The smallest value that so many percent of them do not exceed (nearest rank): of fewer than
    /// twenty values, p95 is the largest.
    pub(super) fn percentile(&self, percent: u8) -> Option<f64> {
        let sorted = self.sorted();
        let rank = (sorted.len() * usize::from(percent)).div_ceil(100);
        sorted.get(rank.max(1) - 1).copied()
    }

    /// Whether that percentile is the largest of them, for want of more values.
    pub(super) fn is_largest(&self, percent: u8) -> bool {
        let many = self.count();
        (many * usize::from(percent)).div_ceil(100) == many
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl Row {
    /// The values of one way; `None` where it was not measured.
    pub(super) fn of(&self, way: Way) -> Option<&Series> {
        let series = self.series.get(way.place())?;
        (series.count() > 0).then_some(series)
    }

    /// p50 of one way, as a multiple of the raw API's.
    pub(super) fn to_raw(&self, way: Way) -> Option<f64> {
        ratio(self.of(way)?.p50()?, self.of(Way::Raw)?.p50()?)
    }

    /// Its name, with the number of containers.
    pub(super) fn name(&self) -> String {
        match self.at {
            Some(1) => format!("{}, 1 container", self.subject.name),
            Some(many) => format!("{}, {many} containers", self.subject.name),
            None => self.subject.name.to_owned(),
        }
    }
}

impl Tally {
    /// Notes a value.
    pub(super) fn note(&mut self, subject: &'static Subject, way: Way, value: f64) {
        self.note_at(subject, None, way, value);
    }

    /// The same with so many containers.
    pub(super) fn note_at(
        &mut self,
        subject: &'static Subject,
        at: Option<u32>,
        way: Way,
        value: f64,
    ) {
        assert!(value.is_finite(), "{}: {value}", subject.name);
        let same = |row: &Row| row.subject == subject && row.at == at;
        let place = self.rows.iter().position(same).unwrap_or_else(|| {
            let series = Default::default();
            self.rows.push(Row {
                subject,
                at,
                series,
            });
            self.rows.len() - 1
        });
        self.rows[place].series[way.place()].push(value);
    }

    /// Says once that something is not measured.
    pub(super) fn leave_out(&mut self, what: &str) {
        if !self.is_left_out(what) {
            self.left_out.push(what.to_owned());
        }
    }

    /// Whether that was said.
    pub(super) fn is_left_out(&self, what: &str) -> bool {
        self.left_out.iter().any(|one| one == what)
    }

    /// The same with the rows as they are shown: section by section, and within one those of a subject
    /// together.
    pub(super) fn arranged(mut self) -> Self {
        let place = |all: &[&str], one: &str| all.iter().position(|name| *name == one);
        let names: Vec<&str> = self.rows.iter().map(|row| row.subject.name).collect();
        self.rows.sort_by_key(|row| {
            let Subject { section, name, .. } = row.subject;
            (place(&SECTIONS, section), place(&names, name))
        });
        self
    }

    /// A row, where it was measured.
    pub(super) fn row(&self, subject: &Subject, at: Option<u32>) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.subject == subject && row.at == at)
    }
}

/// `one` as a multiple of `other`; `None` where that is no number.
pub(super) fn ratio(one: f64, other: f64) -> Option<f64> {
    let ratio = one / other;
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::subject;

    fn series(values: &[f64]) -> Series {
        Series(values.to_vec())
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = series(&(1..=100).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!(hundred.p50(), Some(50.5));
        assert_eq!(hundred.percentile(95), Some(95.0));
        assert_eq!(hundred.percentile(99), Some(99.0));
        let ten = series(&[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(ten.percentile(95), Some(10.0));
        assert_eq!(ten.percentile(0), Some(1.0));
        assert_eq!(series(&[3.0, 1.0, 2.0]).p50(), Some(2.0));
        assert_eq!(series(&[4.0]).percentile(99), Some(4.0));
        assert_eq!(
            (series(&[]).p50(), series(&[]).percentile(50)),
            (None, None)
        );
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, 0.0), None);
    }

    #[test]
    fn values_are_gathered_by_subject_number_and_way() {
        let mut tally = Tally::default();
        for (at, way, value) in [
            (1, Way::Ours, 1.0),
            (1, Way::Raw, 2.0),
            (50, Way::Ours, 9.0),
            (1, Way::Ours, 3.0),
        ] {
            tally.note_at(&subject::LIST, Some(at), way, value);
        }
        assert_eq!(tally.rows.len(), 2);
        let row = tally.row(&subject::LIST, Some(1)).unwrap();
        assert_eq!(row.of(Way::Ours), Some(&series(&[1.0, 3.0])));
        assert_eq!(row.of(Way::Incus), None);
        assert_eq!(row.to_raw(Way::Ours), Some(1.0));
        assert_eq!(row.to_raw(Way::Incus), None);
        assert_eq!(row.name(), "list, 1 container");
        assert!(tally.row(&subject::GET, Some(1)).is_none());
    }

    #[test]
    fn rows_are_shown_section_by_section() {
        let mut tally = Tally::default();
        for (subject, at) in [
            (&subject::MCP_START, None),
            (&subject::LIST, Some(1)),
            (&subject::GET, Some(1)),
            (&subject::LIST, Some(50)),
            (&subject::CREATE_ANSWER, None),
        ] {
            tally.note_at(subject, at, Way::Ours, 1.0);
        }
        let shown: Vec<String> = tally.arranged().rows.iter().map(Row::name).collect();
        let wanted = [
            "create → answer",
            "list, 1 container",
            "list, 50 containers",
            "get, 1 container",
            "mcp-server → tools/list",
        ];
        assert_eq!(shown, wanted);
    }
}
