//! Who may read what is secret: the state directory, the store, the tokens' secret.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{Finding, Repair};
use crate::secret;

const CHECK: &str = "modes";

/// A file as it is, and the most it may be.
struct Found {
    path: PathBuf,
    mode: u32,
    most: u32,
    uid: u32,
}

pub(super) fn examine(state_dir: &Path) -> Vec<Finding> {
    let mut wanted = vec![(state_dir.to_owned(), 0o700)];
    for file in [
        "containarium.db",
        "containarium.db-wal",
        "containarium.db-shm",
        "jwt.secret",
    ] {
        wanted.push((state_dir.join(file), 0o600));
    }
    if state_dir == Path::new(secret::STATE_DIR) {
        // The group `containarium` may mint tokens.
        wanted.push((PathBuf::from(secret::SYSTEM_FILE), 0o640));
    }
    let found = wanted.into_iter().filter_map(|(path, most)| {
        let meta = std::fs::metadata(&path).ok()?;
        Some(Found {
            path,
            mode: meta.permissions().mode() & 0o7777,
            most,
            uid: meta.uid(),
        })
    });
    judge(
        &found.collect::<Vec<_>>(),
        rustix::process::geteuid().as_raw(),
    )
}

fn judge(files: &[Found], we: u32) -> Vec<Finding> {
    if files.is_empty() {
        return Vec::new();
    }
    let bad: Vec<Finding> = files.iter().filter_map(|file| of(file, we)).collect();
    if bad.is_empty() {
        let found = format!(
            "{} files and directories are for their owner only",
            files.len()
        );
        return vec![Finding::ok(CHECK, found)];
    }
    bad
}

fn of(file: &Found, we: u32) -> Option<Finding> {
    let Found {
        path,
        mode,
        most,
        uid,
    } = file;
    let path_text = path.display();
    if uid != &0 && *uid != we {
        return Some(
            Finding::problem(
                CHECK,
                format!("{path_text} belongs to user {uid}, who can read and change it"),
            )
            .run(format!("chown root {path_text}")),
        );
    }
    if mode & !most == 0 {
        return None;
    }
    let who = match (mode & !most & 0o007, mode & !most & 0o070) {
        (0, _) => "its group",
        (_, _) => "everybody on this machine",
    };
    Some(
        Finding::problem(
            CHECK,
            format!(
                "{path_text} has mode {mode:04o}, at most {most:04o} is safe: {who} gets at it"
            ),
        )
        .repair(Repair::Mode {
            path: path.clone(),
            mode: mode & most,
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;
    use crate::doctor::{Verdict, repair};

    #[test]
    fn what_others_can_read_is_found_and_taken_from_them() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        drop(crate::Store::make(&state).unwrap());
        assert_eq!(examine(&state).len(), 1);
        assert_eq!(examine(&state)[0].verdict, Verdict::Ok);

        let store = state.join("containarium.db");
        let set = |mode| std::fs::set_permissions(&store, Permissions::from_mode(mode)).unwrap();
        set(0o644);
        let findings = examine(&state);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, Verdict::Problem);
        assert!(
            findings[0]
                .found
                .contains("mode 0644, at most 0600 is safe: everybody")
        );
        assert_eq!(
            findings[0].commands,
            [format!("chmod 0600 {}", store.display())]
        );
        assert_eq!(repair(&findings[0])[0].error, None);
        assert_eq!(examine(&state)[0].verdict, Verdict::Ok);
    }

    #[test]
    fn somebody_elses_file_is_a_problem_and_none_is_nothing_to_say() {
        let theirs = Found {
            path: "/s/containarium.db".into(),
            mode: 0o600,
            most: 0o600,
            uid: 1234,
        };
        let finding = &judge(&[theirs], 0)[0];
        assert!(
            finding.found.contains("belongs to user 1234"),
            "{}",
            finding.found
        );
        assert!(
            finding.repairs.is_empty(),
            "who owns a file is a person's decision"
        );
        assert!(judge(&[], 0).is_empty());
    }
}
