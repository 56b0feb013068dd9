//! Which user ids of the host our containers are mapped to.

use std::ops::Range;

use containarium_incus::{Client, Instance};

use super::{SetupError, While as _};
use crate::{installation::UIDS, mark::Mark};

/// Fewer ranges than this are no room for an installation beside others.
const LEAST: u32 = 250;

/// The first id and the number of ranges, out of root's lines in `/etc/subuid`, apart from what is
/// `used`.
///
/// The upper half of root's largest range: Incus itself allots from below to whatever else runs
/// on it, and compares nothing with a base that was given. The second installation has the upper
/// half of what the first left to Incus, and so on.
pub(crate) fn window(subuid: &str, used: &[Range<u64>]) -> Option<(u32, u32)> {
    let ranges = subuid.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let user = fields.next()?;
        let numbers = (
            fields.next()?.parse::<u64>().ok()?,
            fields.next()?.parse::<u64>().ok()?,
        );
        (user == "root" || user == "0").then_some(numbers)
    });
    let (start, count) = ranges.max_by_key(|(_, count)| *count)?;
    let end = start.checked_add(count)?.min(u64::from(u32::MAX));
    let mut upper = middle(start, end)?..end;
    let first = gap(&upper, used);
    // Alone, a small half is what there is.
    if let Some((_, ranges)) = first
        && (ranges >= LEAST || !used.iter().any(|used| overlap(used, &upper)))
    {
        return first;
    }
    while upper.start - start >= u64::from(LEAST) * u64::from(UIDS) {
        upper = middle(start, upper.start)?..upper.start;
        let found = gap(&upper, used).filter(|(_, ranges)| *ranges >= LEAST);
        if found.is_some() {
            return found;
        }
    }
    None
}

fn middle(start: u64, end: u64) -> Option<u64> {
    Some(start + end.checked_sub(start)? / 2)
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The largest part of `within` that is not used, in whole ranges.
fn gap(within: &Range<u64>, used: &[Range<u64>]) -> Option<(u32, u32)> {
    let mut used: Vec<&Range<u64>> = used.iter().filter(|used| overlap(used, within)).collect();
    used.sort_by_key(|used| used.start);
    let mut gaps = Vec::new();
    let mut free = within.start;
    for used in used {
        gaps.push(free..used.start.max(free));
        free = free.max(used.end);
    }
    gaps.push(free..within.end.max(free));
    let whole = gaps.into_iter().filter_map(|gap| {
        let first = gap.start.next_multiple_of(u64::from(UIDS));
        let ranges = gap.end.checked_sub(first)? / u64::from(UIDS);
        Some((u32::try_from(first).ok()?, u32::try_from(ranges).ok()?))
    });
    whole
        .filter(|(_, ranges)| *ranges > 0)
        .max_by_key(|(_, ranges)| *ranges)
}

/// The ids of one window.
pub(crate) fn ids(first: u32, ranges: u32) -> Range<u64> {
    u64::from(first)..u64::from(first) + u64::from(ranges) * u64::from(UIDS)
}

/// What other installations on this Incus have for their containers, and what its other isolated
/// instances have. One that is not isolated has all of root's ids, and cannot be kept away from.
pub(super) async fn used(incus: &Client, subuid: &str) -> Result<Vec<Range<u64>>, SetupError> {
    let mut used = Vec::new();
    for project in incus.projects().await.doing("listing projects")? {
        if let Some(mark) = Mark::of(&project) {
            let theirs = match mark.installation {
                Some(known) => Some((known.uid_first, known.uid_ranges)),
                // Of a version that wrote none down, and always took this.
                None => window(subuid, &[]),
            };
            used.extend(theirs.map(|(first, ranges)| ids(first, ranges)));
        }
        let there = incus.in_project(&project.name);
        let theirs = there.each_instance(|instance| isolated(&instance)).await;
        used.extend(theirs.doing("listing instances")?);
    }
    Ok(used)
}

/// The user ids of the host that this instance alone is mapped to.
pub(super) fn isolated(instance: &Instance) -> Option<Range<u64>> {
    let config = |key: &str| instance.config.get(key);
    let yes = |value: &String| matches!(value.as_str(), "true" | "1" | "yes" | "on");
    let own = config("security.idmap.isolated").filter(|value| yes(value));
    // What a profile says of it shows in the range that Incus gave; the shared one begins at 0.
    let base = own.and_then(|_| config("security.idmap.base"));
    let base: u64 = base
        .or_else(|| config("volatile.idmap.base"))?
        .parse()
        .ok()?;
    if base == 0 {
        return None;
    }
    let size = config("security.idmap.size").and_then(|text| text.parse().ok());
    Some(base..base + size.unwrap_or(u64::from(UIDS)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "alice:100000:65536\nroot:1000000:1000000000\n";

    #[test]
    fn the_upper_half_of_roots_range_is_ours() {
        let (first, ranges) = window(ROOT, &[]).unwrap();
        assert_eq!(ranges, 7629);
        assert!(first >= 501_000_000 && first % UIDS == 0);
        assert!(ids(first, ranges).end <= 1_001_000_000);
    }

    #[test]
    fn too_little_is_said() {
        assert_eq!(window("alice:100000:65536\n", &[]), None);
        assert_eq!(window("root:100000:65536\n", &[]), None);
        assert_eq!(window("", &[]), None);
        let small = window("root:100000:1000000\n", &[]).unwrap();
        assert_eq!(
            window("root:100000:1000000\n", &[ids(small.0, small.1)]),
            None
        );
    }

    #[test]
    fn installations_share_no_user_id_and_leave_incus_the_lowest() {
        let mut used = Vec::new();
        let mut sizes = Vec::new();
        while let Some((first, ranges)) = window(ROOT, &used) {
            let theirs = ids(first, ranges);
            assert!(!used.iter().any(|used| overlap(used, &theirs)), "{used:?}");
            used.push(theirs);
            sizes.push(ranges);
        }
        assert_eq!(sizes, [7629, 3814, 1906, 953, 475]);
        assert!(used.iter().all(|used| used.start > 1_000_000 + 20_000_000));
    }

    #[test]
    fn an_isolated_instance_of_somebody_elses_is_kept_away_from() {
        let instance = |config: &[(&str, &str)]| Instance {
            config: config
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Instance::default()
        };
        let given = [
            ("security.idmap.isolated", "true"),
            ("security.idmap.base", "700000000"),
            ("security.idmap.size", "131072"),
        ];
        let there = isolated(&instance(&given)).unwrap();
        assert_eq!(there, 700_000_000..700_131_072);
        let found = [
            ("security.idmap.isolated", "1"),
            ("volatile.idmap.base", "5"),
        ];
        assert_eq!(isolated(&instance(&found)), Some(5..65541));
        // Isolated by a profile.
        let by_profile = [("volatile.idmap.base", "5")];
        assert_eq!(isolated(&instance(&by_profile)), Some(5..65541));
        let shared = [("volatile.idmap.base", "0")];
        assert_eq!(isolated(&instance(&shared)), None);
        let (first, ranges) = window(ROOT, std::slice::from_ref(&there)).unwrap();
        assert!(!overlap(&ids(first, ranges), &there));
    }

    proptest! {
        #[test]
        fn what_is_given_is_whole_inside_and_nobodys(
            used in proptest::collection::vec((1_000_000_u64..1_001_000_000, 1_u64..90_000_000), 0..12),
        ) {
            let used: Vec<_> = used.into_iter().map(|(first, n)| first..first + n).collect();
            if let Some((first, ranges)) = window(ROOT, &used) {
                let ours = ids(first, ranges);
                prop_assert!(ranges > 0 && first % UIDS == 0);
                prop_assert!(ours.start >= 1_000_000 && ours.end <= 1_001_000_000);
                prop_assert!(!used.iter().any(|used| overlap(used, &ours)));
            }
        }
    }
}
