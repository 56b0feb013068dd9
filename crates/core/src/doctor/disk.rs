//! Room on the host's own disks: where the store, Incus and the logs are. The containers' pool is
//! `storage`'s.

use std::path::Path;

use super::Finding;
use crate::setup::pool::Gib;

const CHECK: &str = "disk";
/// Less is a matter of days.
const LITTLE: u64 = 5 << 30;
/// Less is a matter of minutes.
const NEXT_TO_NOTHING: u64 = 1 << 30;

/// What is free on one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Space {
    path: String,
    free: u64,
    total: u64,
    inodes_free: u64,
    inodes: u64,
}

pub(super) fn examine(state_dir: &Path, engine: &Path) -> Vec<Finding> {
    let incus_dir = engine.parent().unwrap_or(engine);
    let places = [state_dir, incus_dir, Path::new("/var/log")];
    let mut seen = Vec::new();
    let mut spaces = Vec::new();
    for place in places {
        // Before `init` the state directory is not there; what is above it is.
        let Some(there) = place.ancestors().find(|path| path.exists()) else {
            continue;
        };
        let device =
            std::fs::metadata(there).map(|meta| std::os::unix::fs::MetadataExt::dev(&meta));
        match (device, rustix::fs::statvfs(there)) {
            (Ok(device), Ok(stat)) if !seen.contains(&device) => {
                seen.push(device);
                spaces.push(Space {
                    path: place.display().to_string(),
                    free: stat.f_bavail.saturating_mul(stat.f_frsize),
                    total: stat.f_blocks.saturating_mul(stat.f_frsize),
                    inodes_free: stat.f_favail,
                    inodes: stat.f_files,
                });
            }
            _ => {}
        }
    }
    if spaces.is_empty() {
        return vec![Finding::unknown(CHECK, "no file system could be asked")];
    }
    spaces.iter().map(judge).collect()
}

fn judge(space: &Space) -> Finding {
    let Space {
        path, free, total, ..
    } = space;
    let found = format!("{} of {} free at {path}", Gib(*free), Gib(*total));
    let look =
        |finding: Finding| finding.run(format!("du -xh --max-depth=2 {path} | sort -h | tail"));
    if *free < NEXT_TO_NOTHING {
        look(Finding::problem(
            CHECK,
            format!("{found}: the store cannot be written soon, and nothing can be created"),
        ))
    } else if space.inodes > 0 && space.inodes_free < space.inodes / 50 {
        look(Finding::problem(
            CHECK,
            format!(
                "{found}, but only {} of {} inodes",
                space.inodes_free, space.inodes
            ),
        ))
    } else if *free < LITTLE || *free < total / 20 {
        look(Finding::warning(CHECK, found))
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn little_is_a_warning_and_next_to_nothing_a_problem() {
        let space = |free: u64, inodes_free| Space {
            path: "/var/lib/containarium".into(),
            free,
            total: 100 << 30,
            inodes_free,
            inodes: 1000,
        };
        assert_eq!(judge(&space(50 << 30, 900)).verdict, Verdict::Ok);
        assert_eq!(judge(&space(4 << 30, 900)).verdict, Verdict::Warning);
        assert_eq!(judge(&space(1 << 29, 900)).verdict, Verdict::Problem);
        assert_eq!(judge(&space(50 << 30, 3)).verdict, Verdict::Problem);
    }
}
