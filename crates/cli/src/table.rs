//! Tables for people: columns without lines, so that `awk` reads them too.

use anstream::adapter::strip_str;
use comfy_table::{Table, presets};

/// What stands where the server could not tell.
pub(crate) const UNKNOWN: &str = "-";

/// Rows under headings.
pub(crate) fn columns<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headings)
        .add_rows(rows);
    drawn(&table)
}

/// One thing: a name and a value a line; what is not known is left out.
pub(crate) fn facts<'n>(facts: impl IntoIterator<Item = (&'n str, Option<String>)>) -> String {
    let known = facts
        .into_iter()
        .filter_map(|(name, value)| Some([format!("{name}:"), value?]));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(known);
    drawn(&table)
}

/// A text that a container or its engine wrote, without what a terminal would take for a command.
pub(crate) fn plain(text: &str) -> String {
    let text = strip_str(text).to_string();
    let shown = |c: char| c == '\n' || !c.is_control();
    text.chars().filter(|c| shown(*c)).collect()
}

/// Without the blanks that the preset pads both ends with.
fn drawn(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines
        .iter()
        .map(|line| line.trim_end())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [
            ["alice".to_owned(), "1".to_owned()],
            ["bo".to_owned(), UNKNOWN.to_owned()],
        ];
        assert_eq!(
            columns(["USERNAME", "CPU"], rows),
            "USERNAME  CPU\nalice     1\nbo        -"
        );
        assert_eq!(columns(["USERNAME", "CPU"], []), "USERNAME  CPU");
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{7}\r\nc\td\u{9b}2J"), "ab\ncd2J");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let facts = facts([
            ("Name", Some("alice".into())),
            ("State", None),
            ("CPU", Some("4".into())),
        ]);
        assert_eq!(facts, "Name:  alice\nCPU:   4");
    }
}
