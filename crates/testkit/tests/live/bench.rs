//! `make bench` works: one round of it, on the live suite's engine. What it measures beside other work
//! is not looked at, but that it measures.

use std::process::Command;

use containarium_testkit::{Bed, program};

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
    let plot = std::fs::read_to_string(docs.path().join("benchmarks.svg")).unwrap();
    assert!(plot.contains("create → SSH banner"), "{plot}");
    assert!(bed.instances().await.is_empty());
}
