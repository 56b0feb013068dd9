//! The user ids that containers are mapped to: root's range in `/etc/subuid` and `/etc/subgid`, and
//! that nobody else's range is in ours.

use std::ops::Range;

use super::Finding;
use crate::{Installation, installation::UIDS, setup::uids};

const CHECK: &str = "ids";

pub(super) fn examine(installation: Option<&Installation>) -> Finding {
    let read = |path| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    match (read("/etc/subuid"), read("/etc/subgid")) {
        (Ok(uids), Ok(gids)) => judge(installation, &uids, &gids),
        (Err(why), _) | (_, Err(why)) => give(Finding::problem(
            CHECK,
            format!("{why}: no container can be mapped to users of its own"),
        )),
    }
}

fn give(finding: Finding) -> Finding {
    finding
        .run("usermod --add-subuids 1000000-1000999999 --add-subgids 1000000-1000999999 root")
        .run("systemctl restart incus")
}

/// Whose range it is, and which.
fn ranges(text: &str) -> impl Iterator<Item = (&str, Range<u64>)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let user = fields.next()?;
        let first: u64 = fields.next()?.parse().ok()?;
        let count: u64 = fields.next()?.parse().ok()?;
        Some((user, first..first + count))
    })
}

fn judge(installation: Option<&Installation>, subuid: &str, subgid: &str) -> Finding {
    let window = match installation {
        Some(here) => Some((here.uid_first, here.uid_ranges)),
        None => uids::window(subuid, &[]),
    };
    let Some((first, count)) = window else {
        return give(Finding::problem(
            CHECK,
            "/etc/subuid gives root no range with room for a container (65536 ids)",
        ));
    };
    let ours = u64::from(first)..u64::from(first) + u64::from(count) * u64::from(UIDS);
    for (file, text) in [("/etc/subuid", subuid), ("/etc/subgid", subgid)] {
        let root = |(user, range): &(&str, Range<u64>)| {
            matches!(*user, "root" | "0") && range.start <= ours.start && ours.end <= range.end
        };
        if !ranges(text).any(|range| root(&range)) {
            return give(Finding::problem(
                CHECK,
                format!(
                    "{file} does not give root the ids {} to {}, which containers use: they do not \
                     start",
                    ours.start,
                    ours.end - 1
                ),
            ));
        }
        let other = |(user, range): &(&str, Range<u64>)| {
            !matches!(*user, "root" | "0") && range.start < ours.end && ours.start < range.end
        };
        if let Some((user, range)) = ranges(text).find(|range| other(range)) {
            return Finding::problem(
                CHECK,
                format!(
                    "{file} gives {user} the ids {} to {}, which are also containers' ({} to {}): \
                     {user} could be root of a container",
                    range.start,
                    range.end - 1,
                    ours.start,
                    ours.end - 1
                ),
            )
            .run(format!(
                "usermod --del-sub{}s {}-{} {user}",
                if file.ends_with("uid") { "uid" } else { "gid" },
                range.start,
                range.end - 1
            ));
        }
    }
    Finding::ok(
        CHECK,
        format!(
            "containers have the ids {} to {}: room for {count}",
            ours.start,
            ours.end - 1
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const ROOT: &str = "root:1000000:1000000000\n";

    #[test]
    fn roots_range_is_enough_and_others_stay_out_of_it() {
        assert_eq!(judge(None, ROOT, ROOT).verdict, Verdict::Ok);
        let alice = format!("{ROOT}alice:100000:65536\n");
        assert_eq!(judge(None, &alice, &alice).verdict, Verdict::Ok);
        let inside = format!("{ROOT}alice:600000000:65536\n");
        let finding = judge(None, &inside, ROOT);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert_eq!(
            finding.commands,
            ["usermod --del-subuids 600000000-600065535 alice"]
        );
    }

    #[test]
    fn a_range_that_is_missing_is_a_problem_in_either_file() {
        for (uids, gids, says) in [
            ("alice:100000:65536\n", ROOT, "gives root no range"),
            (ROOT, "", "/etc/subgid does not give root"),
            (
                ROOT,
                "root:1000000:65536\n",
                "/etc/subgid does not give root",
            ),
        ] {
            let finding = judge(None, uids, gids);
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(finding.found.contains(says), "{}", finding.found);
        }
    }
}
