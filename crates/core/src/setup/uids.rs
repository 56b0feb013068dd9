//! Which user ids of the host our containers are mapped to.

use crate::installation::UIDS;

/// The first id and the number of ranges, out of root's lines in `/etc/subuid`.
///
/// The upper half of root's largest range: Incus itself allots from below to whatever else runs
/// on it, and compares nothing with a base that was given.
pub(crate) fn window(subuid: &str) -> Option<(u32, u32)> {
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
    let end = (start + count).min(u64::from(u32::MAX));
    let middle = start + (end.checked_sub(start)? / 2);
    let first = u32::try_from(middle.next_multiple_of(u64::from(UIDS))).ok()?;
    let ranges = u32::try_from(end.checked_sub(u64::from(first))?).ok()? / UIDS;
    (ranges > 0).then_some((first, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_of_roots_range_is_ours() {
        let (first, ranges) = window("alice:100000:65536\nroot:1000000:1000000000\n").unwrap();
        assert_eq!(ranges, 7629);
        assert!(first >= 501_000_000 && first % UIDS == 0);
        assert!(u64::from(first) + u64::from(ranges) * u64::from(UIDS) <= 1_001_000_000);
    }

    #[test]
    fn too_little_is_said() {
        assert_eq!(window("alice:100000:65536\n"), None);
        assert_eq!(window("root:100000:65536\n"), None);
        assert_eq!(window(""), None);
    }
}
