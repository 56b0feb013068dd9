//! The table on a terminal.

use super::{
    stages::Bar,
    tally::{Series, Tally},
    way::Way,
};

/// One line of a table: name, unit, way, how many values, p50, p95, p99, ratio to raw.
pub(super) type Cells = [String; 8];

/// The lines of all rows, one for each way, each with the section it belongs to.
pub(super) fn lines(tally: &Tally) -> Vec<(&'static str, Cells)> {
    let mut lines = Vec::new();
    for row in &tally.rows {
        for way in Way::ALL {
            let Some(series) = row.of(way) else { continue };
            let ratio = row
                .to_raw(way)
                .map_or("–".into(), |ratio| format!("{ratio:.2}"));
            let [p50, p95, p99] = shown(series);
            let cells = [
                row.name(),
                row.subject.unit.name().to_owned(),
                way.name().to_owned(),
                series.count().to_string(),
                p50,
                p95,
                p99,
                ratio,
            ];
            lines.push((row.subject.section, cells));
        }
    }
    lines
}

/// The heading of [`lines`].
pub(super) const HEADING: [&str; 8] = ["", "unit", "way", "values", "p50", "p95", "p99", "× raw"];

/// All of it, for a terminal.
pub(super) fn table(tally: &Tally) -> String {
    let lines = lines(tally);
    let mut widths = HEADING.map(|text| text.chars().count());
    for (_, cells) in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut drawn = line(&widths, &HEADING.map(str::to_owned));
    let mut section = "";
    for (of, cells) in &lines {
        if *of != section {
            section = of;
            drawn += &format!("\n{section}\n");
        }
        drawn += &line(&widths, cells);
    }
    let stages = tally.waterfall.bars();
    if !stages.is_empty() {
        drawn += "\nWhere a cold create goes, ms: from, for (p50)\n";
    }
    for Bar {
        name,
        begins,
        takes,
        ..
    } in stages
    {
        drawn += &format!("{name:<30}{:>10}{:>10}\n", number(begins), number(takes));
    }
    for what in &tally.left_out {
        drawn += &format!("\nnot measured: {what}");
    }
    if !tally.left_out.is_empty() {
        drawn.push('\n');
    }
    drawn
}

fn line(widths: &[usize; 8], cells: &Cells) -> String {
    let mut drawn = String::new();
    for (place, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        // Words to the left, numbers to the right.
        if place < 3 {
            drawn += &format!("{cell:<width$}  ");
        } else {
            drawn += &format!("{cell:>width$}  ");
        }
    }
    format!("{}\n", drawn.trim_end())
}

fn shown(series: &Series) -> [String; 3] {
    let p50 = series.p50().map_or("–".into(), number);
    [p50, percentile(series, 95), percentile(series, 99)]
}

/// A percentile; one that rests on too few values to be any other than the largest says so.
pub(super) fn percentile(series: &Series, percent: u8) -> String {
    match series.percentile(percent) {
        None => "–".into(),
        Some(value) if series.is_largest(percent) => format!("{} max", number(value)),
        Some(value) => number(value),
    }
}

/// A value with three or four digits that say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::subject::{LIST, MCP_START};

    #[test]
    fn a_table_has_a_line_for_each_way_and_says_what_is_missing() {
        let mut tally = Tally::default();
        for (way, value) in [(Way::Ours, 0.5), (Way::Raw, 2.0), (Way::Incus, 150.4)] {
            tally.note_at(&LIST, Some(50), way, value);
        }
        tally.note(&MCP_START, Way::Ours, 12.34);
        tally.left_out.push("something".into());
        let wanted = "\
                                unit  way    values   p50       p95       p99  × raw

List and get
list, 50 containers      ms    ours        1  0.50  0.50 max  0.50 max   0.25
list, 50 containers      ms    raw         1  2.00  2.00 max  2.00 max   1.00
list, 50 containers      ms    incus       1   150   150 max   150 max  75.20

Start-up
mcp-server → tools/list  ms    ours        1  12.3  12.3 max  12.3 max      –

not measured: something
";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let drawn = table(&tally);
        assert_eq!(squeezed(&drawn), squeezed(wanted), "{drawn}");
        let columns: Vec<usize> = drawn
            .lines()
            .filter(|line| line.contains(" ms "))
            .map(|line| line.chars().count())
            .collect();
        assert!(columns.iter().all(|width| *width == columns[0]), "{drawn}");
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!(number(0.1234), "0.12");
        assert_eq!(number(-3.456), "-3.46");
        assert_eq!(number(45.67), "45.7");
        assert_eq!(number(1234.5), "1234");
    }

    #[test]
    fn a_percentile_of_few_values_says_that_it_is_the_largest() {
        let told = |many: u32| {
            let mut tally = Tally::default();
            for value in 1..=many {
                tally.note(&MCP_START, Way::Ours, f64::from(value));
            }
            let row = tally.row(&MCP_START, None).unwrap().clone();
            let series = row.of(Way::Ours).unwrap();
            [percentile(series, 95), percentile(series, 99)]
        };
        assert_eq!(told(19), ["19.0 max", "19.0 max"]);
        assert_eq!(told(20), ["19.0", "20.0 max"]);
        assert_eq!(told(99), ["95.0", "99.0 max"]);
        assert_eq!(told(100), ["95.0", "99.0"]);
    }
}
