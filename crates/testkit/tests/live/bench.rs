//! `make bench` works: one round of it, on the live suite's engine. What it measures beside other work
//! is not looked at, but that it measures.

use std::process::Command;

use containarium_testkit::{Bed, program};

/// The rows of the tables of values: what, unit and way; and p50, p95 and p99.
fn measured(page: &str) -> Vec<(String, Vec<f64>)> {
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, unit, way, _values, p50, p95, p99, ..] = cells.as_slice() else {
            return None;
        };
        let values = [p50, p95, p99].map(|cell| cell.trim_end_matches(" max").parse().ok());
        let values: Option<Vec<f64>> = values.into_iter().collect();
        Some((format!("{what}, {unit}, {way}"), values?))
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_run_measures_everything_and_leaves_nothing() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    // It finds these beside itself.
    for name in ["containarium", "mcp-server"] {
        program(name);
    }
    let docs = tempfile::tempdir().unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["--quick", "--write-docs"])
            .arg(docs.path())
            .output()
            .unwrap()
    };
    let done = tokio::task::block_in_place(run);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let page = std::fs::read_to_string(docs.path().join("benchmarks.md")).unwrap();
    for wanted in [
        "| create → ssh login | ms | incus | 1 |",
        "| burst of creates, 3 containers | containers/s | raw | 1 |",
        "| list, 10 containers | ms | incus | 1 |",
        "| by MCP to a get | ms | ours | 5 |",
        "| boot | after make, until the daemon has heard `SSH-` |",
        "| – guest: identity | address, hostname, user, host key |",
        "| throughput | MB/s | ours | 1 |",
        "| daemon, under load | MiB | ours | 1 |",
        "| daemon → ready | ms | ours | 1 |",
        "| Incus | 6.",
        "| Runtime | lxc ",
        "| lxcfs's 0.5 s after each stop | left out",
    ] {
        assert!(page.contains(wanted), "no {wanted} in\n{page}");
    }
    assert!(!page.contains("## Not measured"), "{page}");
    let rows = measured(&page);
    assert!(rows.len() > 60, "{} rows in\n{page}", rows.len());
    for (what, values) in &rows {
        // What is a difference may be less than nothing in one round.
        let some = what.starts_with("by ") || values.iter().all(|value| *value > 0.0);
        assert!(some && values.is_sorted(), "{what}: {values:?}");
    }
    // Whole lives, and not the answers to something that was refused: no container boots in less than the engine takes to
    // clone it, and no ssh login comes before the banner.
    let p50 = |what: &str| {
        let row = rows.iter().find(|(name, _)| name == what);
        row.unwrap_or_else(|| panic!("no {what} in\n{page}")).1[0]
    };
    for way in ["ours", "raw", "incus"] {
        let [answer, banner, login] = ["answer", "SSH banner", "ssh login"]
            .map(|until| p50(&format!("create → {until}, ms, {way}")));
        assert!(
            50.0 < answer && answer <= banner && banner < login,
            "{way}: {answer}, {banner}, {login} ms"
        );
    }
    // In turn on one machine: far from each other, one of them was not measured.
    let [ours, raw] = ["ours", "raw"].map(|way| p50(&format!("create → SSH banner, ms, {way}")));
    assert!(ours < 4.0 * raw && raw < 4.0 * ours, "{ours}, {raw} ms");
    let plot = std::fs::read_to_string(docs.path().join("benchmarks.svg")).unwrap();
    assert!(plot.contains("create → SSH banner"), "{plot}");
    assert!(bed.instances().await.is_empty());
}
