//! Which crate may import which: docs/architecture.md, held against what cargo says.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Every crate of ours, and what it may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("containarium-contract", &[]),
    ("containarium-incus", &[]),
    (
        "containarium-core",
        &["containarium-contract", "containarium-incus"],
    ),
    ("containarium-tunnel", &[]),
    (
        "containarium-daemon",
        &[
            "containarium-contract",
            "containarium-core",
            "containarium-tunnel",
        ],
    ),
    (
        "containarium-client",
        &["containarium-contract", "containarium-tunnel"],
    ),
    (
        "containarium-mcp",
        &["containarium-client", "containarium-contract"],
    ),
    (
        "containarium",
        &[
            "containarium-client",
            "containarium-contract",
            "containarium-core",
            "containarium-daemon",
            "containarium-mcp",
            "containarium-simulated",
        ],
    ),
    ("containarium-incus-sim", &[]),
    (
        "containarium-simulated",
        &[
            "containarium-contract",
            "containarium-core",
            "containarium-incus",
            "containarium-incus-sim",
        ],
    ),
];

/// May import anything, and be imported by tests only.
const TESTKIT: &str = "containarium-testkit";

/// For each of our crates, which of the others it imports, and whether for its tests only.
fn imports() -> BTreeMap<String, Vec<(String, bool)>> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        cargo.status.success(),
        "{}",
        String::from_utf8_lossy(&cargo.stderr)
    );
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let name = |of: &Value| of["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<String> = packages.iter().map(name).collect();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.map(|import| (name(import), import["kind"] == "dev"))
            .filter(|(name, _)| ours.contains(name))
            .collect()
    };
    packages
        .iter()
        .map(|package| (name(package), of(package)))
        .collect()
}

#[test]
fn every_import_is_an_arrow_of_the_architecture() {
    for (krate, imports) in imports() {
        if krate == TESTKIT {
            continue;
        }
        let arrows = ARROWS.iter().find(|(name, _)| *name == krate);
        let (_, allowed) = arrows.unwrap_or_else(|| panic!("{krate} is not in the architecture"));
        for (import, _) in imports.iter().filter(|(_, for_tests)| !for_tests) {
            assert!(
                allowed.contains(&import.as_str()),
                "{krate} must not import {import}"
            );
        }
    }
}

#[test]
fn what_is_for_tests_is_imported_by_tests_only() {
    for (krate, imports) in imports() {
        for (import, for_tests) in imports {
            assert!(
                for_tests || import != TESTKIT,
                "{krate} imports {import} outside its tests"
            );
        }
    }
}
