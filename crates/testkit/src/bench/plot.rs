//! `docs/benchmarks.svg`: a bar to p50 and a whisker to p99 for each way of each row that compares some.
//! A row has a scale of its own, because a list takes a thousandth of a create.

use super::{
    stages::Bar,
    table::number,
    tally::{Row, Tally},
    way::Way,
};

const WIDTH: f64 = 920.0;
/// Where the bars begin, and how long the longest whisker is.
const LEFT: f64 = 340.0;
const SPAN: f64 = 420.0;
const BAR: f64 = 11.0;
const STEP: f64 = 15.0;
const GAP: f64 = 12.0;
const TOP: f64 = 44.0;

/// Both for a light and for a dark page.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328}\
.ours{fill:#1f6feb}.raw{fill:#8c959f}.incus{fill:#bf8700}\
.w{stroke:#1f2328;stroke-width:1.2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#58a6ff}.raw{fill:#8b949e}\
.incus{fill:#d29922}.w{stroke:#e6edf3}}";

/// The plot, whole.
pub(super) fn plot(tally: &Tally) -> String {
    let mut y = TOP;
    let mut drawn = String::new();
    for row in &tally.rows {
        // What is less than nothing has no bar.
        let values = Way::ALL.iter().filter_map(|&way| value(row, way));
        let most = values.clone().map(|(p50, p99)| p50.max(p99));
        let most = most.fold(0.0, f64::max);
        if values.clone().count() < 2 || most <= 0.0 || values.clone().any(|(p50, _)| p50 < 0.0) {
            continue;
        }
        drawn += &text(LEFT - 8.0, y + 10.0, "end", &row.name());
        for way in Way::ALL {
            let Some((p50, p99)) = value(row, way) else {
                continue;
            };
            let scale = |value: f64| LEFT + SPAN * value / most;
            let middle = y + BAR / 2.0;
            let (half, end) = (scale(p50), scale(p99));
            drawn += &format!(
                "<rect class=\"{}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>\n\
                 <path class=\"w\" d=\"M{half:.1} {middle:.1}H{end:.1}M{end:.1} {:.1}v6\"/>\n",
                way.name(),
                half - LEFT,
                middle - 3.0,
            );
            let label = format!("{} {}", number(p50), row.subject.unit.name());
            drawn += &text(half.max(end) + 6.0, y + 10.0, "start", &label);
            y += STEP;
        }
        y += GAP;
    }
    drawn += &waterfall(&tally.waterfall.bars(), &mut y);
    let mut legend = String::new();
    for (way, x) in Way::ALL.iter().zip([LEFT, LEFT + 70.0, LEFT + 140.0]) {
        legend += &format!(
            "<rect class=\"{0}\" x=\"{x}\" y=\"14\" width=\"{BAR}\" height=\"{BAR}\"/>\n{1}",
            way.name(),
            text(x + 16.0, 24.0, "start", way.name())
        );
    }
    legend += &text(
        LEFT + 210.0,
        24.0,
        "start",
        "bar: p50, whisker: p99; each row to its own scale",
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" role=\"img\" \
         aria-label=\"p50 and p99 of ours, the raw Incus API and the incus command\">\n\
         <style>{STYLE}</style>\n{legend}{drawn}</svg>\n"
    )
}

/// The stages of a cold create below each other, each from where it begins; what goes on inside another
/// is grey.
fn waterfall(bars: &[Bar], y: &mut f64) -> String {
    let ends = bars.iter().map(|bar| bar.begins + bar.takes);
    let most = ends.fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    *y += GAP;
    let mut drawn = text(LEFT, *y + 10.0, "start", "where a cold create goes, p50");
    *y += STEP + GAP / 2.0;
    for bar in bars {
        let (from, wide) = (SPAN * bar.begins / most, SPAN * bar.takes / most);
        let class = if bar.is_within { "raw" } else { "ours" };
        drawn += &text(LEFT - 8.0, *y + 10.0, "end", bar.name);
        drawn += &format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{BAR}\"/>\n",
            LEFT + from,
        );
        let label = format!("{} ms", number(bar.takes));
        drawn += &text(LEFT + from + wide + 6.0, *y + 10.0, "start", &label);
        *y += STEP;
    }
    *y += GAP;
    drawn
}

fn value(row: &Row, way: Way) -> Option<(f64, f64)> {
    let series = row.of(way)?;
    Some((series.p50()?, series.percentile(99)?))
}

fn text(x: f64, y: f64, anchor: &str, content: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
        escaped(content)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::subject::{ADDED_CREATE, LIST, MCP_START};

    #[test]
    fn what_svg_would_read_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
    }

    #[test]
    fn the_longest_whisker_spans_the_plot_and_bars_are_to_scale() {
        let mut tally = Tally::default();
        tally.note(&LIST, Way::Ours, 1.0);
        tally.note(&LIST, Way::Raw, 4.0);
        // Below zero, or nothing to compare with: no bar, and no drawing that breaks.
        tally.note(&ADDED_CREATE, Way::Ours, -1.0);
        tally.note(&ADDED_CREATE, Way::Raw, 1.0);
        tally.note(&MCP_START, Way::Ours, 1.0);
        let drawn = plot(&tally);
        let bar = |way: &str, wide: f64| {
            format!("<rect class=\"{way}\" x=\"340\" y=\"{{}}\" width=\"{wide:.1}\"")
                .split("{}")
                .all(|part| drawn.contains(part))
        };
        assert!(bar("raw", SPAN) && bar("ours", SPAN / 4.0), "{drawn}");
        assert!(!drawn.contains("by the daemon to a create"));
        assert!(!drawn.contains("tools/list"));
        assert_eq!(drawn.matches("class=\"w\"").count(), 2);
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    }

    #[test]
    fn a_stage_is_drawn_from_where_it_begins() {
        let bar = |name, begins, takes, is_within| Bar {
            name,
            begins,
            takes,
            is_within,
        };
        let mut y = 0.0;
        let bars = [
            bar("make", 0.0, 100.0, false),
            bar("– guest", 100.0, 300.0, true),
        ];
        let drawn = waterfall(&bars, &mut y);
        let (half, end) = (LEFT + SPAN / 4.0, SPAN * 3.0 / 4.0);
        assert!(
            drawn.contains(&format!("class=\"raw\" x=\"{half:.1}\"")),
            "{drawn}"
        );
        assert!(drawn.contains(&format!("width=\"{end:.1}\"")), "{drawn}");
        assert!(y > 2.0 * STEP);
        assert_eq!(waterfall(&[], &mut y), "");
    }
}
