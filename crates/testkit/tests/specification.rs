//! SPECIFICATION.md, held against the tests that it names. That they pass is the suites' own affair.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// One line of the first table.
#[derive(Debug)]
struct Promise<'a> {
    id: &'a str,
    sentence: &'a str,
    tests: Vec<&'a str>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text() -> String {
    fs::read_to_string(root().join("SPECIFICATION.md")).unwrap()
}

/// The rows of the table under a heading, as their three cells.
fn table<'a>(text: &'a str, heading: &str) -> Vec<[&'a str; 3]> {
    let (_, section) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            <[&str; 3]>::try_from(cells).unwrap_or_else(|_| panic!("three cells, in: {row}"))
        })
        .collect()
}

fn promises(text: &str) -> Vec<Promise<'_>> {
    let rows = table(text, "Promises");
    rows.into_iter()
        .map(|[id, sentence, proof]| Promise {
            id,
            sentence,
            tests: proof.split('`').skip(1).step_by(2).collect(),
        })
        .collect()
}

/// What is wrong with a test of this name in this source; `None` where it is there and runs.
fn wrong(source: &str, name: &str) -> Option<&'static str> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    let Some(at) = lines.iter().position(is_it) else {
        return Some("is not there");
    };
    let before = lines.iter().take(at).rev();
    // Attributes and comments stand right above it, up to the end of what is before.
    let above: Vec<&&str> = before
        .filter(|line| !line.starts_with("//"))
        .take_while(|line| !line.is_empty() && !line.ends_with(['{', '}', ';']))
        .collect();
    let has = |start: &str| above.iter().any(|line| line.starts_with(start));
    if !has("#[test]") && !has("#[tokio::test") {
        Some("is no test")
    } else if above.iter().any(|line| line.contains("ignore")) {
        Some("is ignored")
    } else if has("#[cfg") {
        Some("is not always compiled")
    } else {
        None
    }
}

/// Whether cargo compiles this file: another names it.
fn is_compiled(file: &Path) -> bool {
    let (dir, stem) = (file.parent().unwrap(), file.file_stem().unwrap());
    let stem = stem.to_str().unwrap();
    if matches!(stem, "lib" | "main") {
        return true;
    }
    let names = [format!("mod {stem};"), format!("\"{stem}.rs\"")];
    let beside = [dir, dir.parent().unwrap()];
    let sources = beside.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    sources
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
        .any(|path| {
            let source = fs::read_to_string(path).unwrap();
            names.iter().any(|name| source.contains(name))
        })
}

#[test]
fn every_promise_has_tests_and_every_test_is_there_and_runs() {
    let text = text();
    let promises = promises(&text);
    assert!(promises.len() >= 10, "{promises:#?}");
    let mut wrongs = Vec::new();
    for Promise {
        id,
        sentence,
        tests,
    } in &promises
    {
        if tests.is_empty() {
            wrongs.push(format!("{id} names no test"));
        }
        if !sentence.ends_with('.') {
            wrongs.push(format!("{id} is no sentence: {sentence}"));
        }
        for test in tests {
            let Some((file, name)) = test.rsplit_once("::") else {
                wrongs.push(format!("{id}: `{test}` is not file::name"));
                continue;
            };
            let path = root().join(file);
            let why = match fs::read_to_string(&path) {
                Ok(_) if !file.starts_with("crates/") => Some("is not in crates/"),
                Ok(_) if !is_compiled(&path) => Some("is in a file that nothing compiles"),
                Ok(source) => wrong(&source, name),
                Err(_) => Some("is in a file that is not there"),
            };
            wrongs.extend(why.map(|why| format!("{id}: `{test}` {why}")));
        }
    }
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

#[test]
fn every_id_is_promised_or_said_not_to_be() {
    let text = text();
    let promised = promises(&text).into_iter().map(|promise| promise.id);
    let not = table(&text, "Not promised")
        .into_iter()
        .map(|[id, _, why]| {
            assert!(!why.is_empty(), "{id} has no reason");
            id
        });
    let mut seen = BTreeSet::new();
    for id in promised.chain(not) {
        assert!(seen.insert(id), "{id} is there twice");
    }
    for n in 1..=24 {
        let id = format!("R{n}");
        assert!(seen.contains(id.as_str()), "{id} is in neither table");
    }
}

#[test]
fn a_test_that_is_missing_ignored_or_none_is_found() {
    let source = r#"
#[test]
fn good() {}

#[tokio::test(flavor = "multi_thread")]
// Why it is there.
async fn good_too() {
}

proptest! {
    #[test]
    fn a_property(x in 0..3) {}
}

#[test]
#[ignore = "slow"]
fn ignored() {}

#[test]
#[cfg(feature = "x")]
fn sometimes() {}

fn helper() {}

#[test]
fn before() {}
fn right_after() {}
// #[test]
// fn commented() {}
"#;
    for (name, is) in [
        ("good", None),
        ("good_too", None),
        ("a_property", None),
        ("ignored", Some("is ignored")),
        ("sometimes", Some("is not always compiled")),
        ("helper", Some("is no test")),
        ("right_after", Some("is no test")),
        ("commented", Some("is not there")),
        ("goo", Some("is not there")),
    ] {
        assert_eq!(wrong(source, name), is, "{name}");
    }
}

#[test]
fn a_promise_without_a_test_is_found() {
    let text = "\n## Promises\n\n| id | promise | proven by |\n|---|---|---|\n\
                | R1 | It holds. | `crates/a.rs::b` `crates/a.rs::c` |\n| R2 | It does. | later |\n\n## Next\n| x |";
    let read = promises(text);
    let tests: Vec<usize> = read.iter().map(|promise| promise.tests.len()).collect();
    assert_eq!(tests, [2, 0]);
}
