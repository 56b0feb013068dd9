//! The programs that were built beside the test.

use std::path::PathBuf;

/// The path of `name`, such as `mcp-server`: cargo puts the workspace's programs beside the
/// directory of the tests' own.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        path.exists(),
        "there is no {}: cargo build --bin {name}",
        path.display()
    );
    path
}
