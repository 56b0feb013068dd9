//! Incus's version and what its age means. Nobody is asked: what this machine's package lists know, and
//! what was known when this was written (2026).

use super::{Finding, command};

const CHECK: &str = "engine-version";

/// The package Incus came in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    installed: String,
    /// The newest that the machine's lists know.
    candidate: String,
}

pub(super) async fn examine(version: &str) -> Finding {
    let asked = command::ask("apt-cache", &["policy", "incus-base", "incus"]).await;
    let package = asked.ok().and_then(|said| {
        let (base, whole) = said.split_once("\nincus:").unwrap_or((&said, &said));
        policy("incus-base", base).or_else(|| policy("incus", whole))
    });
    judge(version, package.as_ref())
}

/// Reads what `apt-cache policy NAME` prints.
fn policy(name: &str, said: &str) -> Option<Package> {
    let field = |field: &str| {
        let line = said
            .lines()
            .find_map(|line| line.trim().strip_prefix(field))?;
        Some(line.trim().to_owned()).filter(|value| value != "(none)")
    };
    Some(Package {
        name: name.to_owned(),
        installed: field("Installed:")?,
        candidate: field("Candidate:")?,
    })
}

/// How long a line of versions gets fixes.
enum Line {
    /// The long-term one, with its name and end.
    Lts(&'static str, &'static str),
    /// A monthly one, which ends with the next.
    Monthly,
    /// From before Incus 6.0.
    Old,
    /// Newer than this program.
    New,
}

fn line(major: u32, minor: u32) -> Line {
    match (major, minor) {
        (0..=5, _) => Line::Old,
        (6, 0) => Line::Lts("6.0 LTS", "June 2029"),
        (7, 0) => Line::Lts("7.0 LTS", "June 2031"),
        (6 | 7, _) => Line::Monthly,
        (_, _) => Line::New,
    }
}

/// What we test with; an older one lacks fixes that we met.
const TESTED: (u32, u32, u32) = (6, 0, 4);

fn judge(version: &str, package: Option<&Package>) -> Finding {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Finding::unknown(
            CHECK,
            format!("`{version}` is no version that is known here"),
        );
    };
    let patch = numbers.next().unwrap_or(0);
    let from = package.map_or_else(
        || "not from a package of this system".to_owned(),
        |package| format!("package {} {}", package.name, package.installed),
    );
    let upgrade = |finding: Finding| match package {
        Some(package) => finding.run(format!(
            "apt-get update && apt-get install --only-upgrade {}  # containers keep running",
            package.name
        )),
        None => finding,
    };
    if let Some(newer) = package.filter(|package| package.installed != package.candidate) {
        return upgrade(Finding::warning(
            CHECK,
            format!(
                "{version} ({from}); this machine's package lists have {}: fixes, mostly of \
                 security",
                newer.candidate
            ),
        ));
    }
    match line(major, minor) {
        Line::Old => upgrade(Finding::problem(
            CHECK,
            format!(
                "{version} ({from}): from before 6.0, gets no fixes, and is not what we test with"
            ),
        )),
        Line::Lts(name, end) if (major, minor, patch) < TESTED => upgrade(Finding::warning(
            CHECK,
            format!(
                "{version} ({from}): {name} gets fixes until {end}, and 6.0.4 is the oldest we \
                 tested"
            ),
        )),
        // A distribution puts fixes into the version it has, and its number stays.
        Line::Lts(name, end) if package.is_some() => Finding::ok(
            CHECK,
            format!(
                "{version}, {name}: fixes until {end}, here with the system's own ({from}, the newest that its lists know)"
            ),
        ),
        Line::Lts(name, end) => Finding::unknown(
            CHECK,
            format!(
                "{version}, {name}: fixes until {end}; {from}, so whether it has the newest is not known here"
            ),
        ),
        Line::Monthly => upgrade(Finding::warning(
            CHECK,
            format!(
                "{version} ({from}): a monthly version, which gets no fixes once the next is out; \
                 6.0 LTS gets them until June 2029"
            ),
        )),
        Line::New => Finding::unknown(
            CHECK,
            format!("{version} ({from}): newer than this program, which was tested with 6.0.4"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const POLICY: &str = "incus-base:\n  Installed: 6.0.4-2+deb13u7~bpo12+1\n  Candidate: 6.0.4-2+deb13u8~bpo12+1\n  Version table:\n";

    #[test]
    fn what_the_lists_know_to_be_newer_is_proposed() {
        let package = policy("incus-base", POLICY).unwrap();
        let finding = judge("6.0.4", Some(&package));
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.found.contains("deb13u8"), "{}", finding.found);
        assert!(finding.commands[0].contains("--only-upgrade incus-base"));
        assert_eq!(
            policy("incus", "incus:\n  Installed: (none)\n  Candidate: 1\n"),
            None
        );
    }

    #[test]
    fn each_line_of_versions_ages_in_its_own_way() {
        let newest = Package {
            name: "incus".into(),
            installed: "1".into(),
            candidate: "1".into(),
        };
        for (version, packaged, verdict) in [
            ("6.0.4", true, Verdict::Ok),
            ("6.0.4", false, Verdict::Unknown),
            ("6.0.1", true, Verdict::Warning),
            ("6.14", true, Verdict::Warning),
            ("0.6", true, Verdict::Problem),
            ("7.0.0", true, Verdict::Ok),
            ("8.1", true, Verdict::Unknown),
            ("master", true, Verdict::Unknown),
        ] {
            let finding = judge(version, packaged.then_some(&newest));
            assert_eq!(finding.verdict, verdict, "{version}: {}", finding.found);
        }
        assert!(judge("6.0.4", Some(&newest)).found.contains("June 2029"));
    }
}
