//! What only a script can try: a server that systemd runs, and a program alone in a root. Each has this test's engine to itself.

use std::{path::Path, process::Command};

use containarium_testkit::Bed;

async fn runs(script: &str) {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scripts")
        .join(script);
    let status = tokio::task::block_in_place(|| Command::new(&script).status().unwrap());
    assert!(status.success(), "{}: {status}", script.display());
    assert!(bed.instances().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_on_a_server_that_systemd_runs() {
    runs("test-systemd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_static_mcp_server_needs_nothing_of_the_system() {
    runs("test-static").await;
}
