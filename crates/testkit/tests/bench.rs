//! `scripts/bench` refuses what it cannot do before it builds anything.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs the script in this directory, where nothing can be built.
fn bench(here: &Path, arguments: &[&str]) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bench");
    Command::new(script)
        .args(arguments)
        .current_dir(here)
        .env("CARGO_TARGET_DIR", here.join("file"))
        .output()
        .unwrap()
}

#[test]
fn a_directory_that_is_missing_is_refused_before_anything_is_built() {
    let here = tempfile::tempdir().unwrap();
    let here = here.path();
    fs::write(here.join("file"), "").unwrap();
    for (wrong, dir) in [
        (&["--quick", "--write-docs", "missing"][..], "missing"),
        (&["--write-docs=missing", "--quick"], "missing"),
        (&["--write-docs", "file"], "file"),
        (&["--write-docs"], ""),
    ] {
        let refused = bench(here, wrong);
        let said = String::from_utf8_lossy(&refused.stderr);
        let wanted =
            format!("bench: --write-docs: `{dir}` is not a directory that can be written\n");
        assert_eq!(said, wanted, "{wrong:?}");
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
    // One that is there, seen from where the command is typed, is not what it fails at.
    fs::create_dir(here.join("docs")).unwrap();
    let not_built = bench(here, &["--write-docs", "docs"]);
    let said = String::from_utf8_lossy(&not_built.stderr);
    assert!(
        !not_built.status.success() && !said.contains("bench: "),
        "{said}"
    );
}
