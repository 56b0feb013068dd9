//! The clock: tokens are good from one moment to another, and certificates too.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Finding, command};

const CHECK: &str = "clock";
/// Files that were written a moment ago by a clock a little ahead are no sign of anything.
const SLACK: Duration = Duration::from_secs(120);

pub(super) async fn examine(state_dir: &Path) -> Finding {
    let written = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
    };
    let marks: Vec<(String, SystemTime)> = [
        Path::new("/proc/self/exe"),
        &state_dir.join("containarium.db"),
        &state_dir.join("containarium.db-wal"),
        Path::new("/etc/containarium/jwt.secret"),
    ]
    .into_iter()
    .filter_map(|path| Some((path.display().to_string(), written(path)?)))
    .collect();
    let synchronised = if Path::new("/run/systemd/system").exists() {
        command::ask(
            "timedatectl",
            &["show", "--property=NTPSynchronized", "--value"],
        )
        .await
    } else {
        Err("systemd does not run this machine, so nobody was asked".into())
    };
    judge(
        SystemTime::now(),
        &marks,
        synchronised.as_deref().map(str::trim),
    )
}

fn judge(
    now: SystemTime,
    marks: &[(String, SystemTime)],
    synchronised: Result<&str, &String>,
) -> Finding {
    let ahead = marks.iter().find(|(_, written)| *written > now + SLACK);
    if let Some((file, written)) = ahead {
        let by = written.duration_since(now).unwrap_or_default().as_secs();
        return Finding::problem(
            CHECK,
            format!(
                "{} is {by} s in the future: the clock was set back (it says {}); tokens made \
                 meanwhile are not good yet, and new ones expire at the wrong time",
                if file == "/proc/self/exe" {
                    "this program's file"
                } else {
                    file
                },
                humantime::format_rfc3339_seconds(now)
            ),
        )
        .run("timedatectl set-ntp true");
    }
    let says = humantime::format_rfc3339_seconds(now);
    if now < UNIX_EPOCH + Duration::from_secs(1_767_225_600) {
        return Finding::problem(
            CHECK,
            format!("it says {says}, which is before this program"),
        )
        .run("timedatectl set-ntp true");
    }
    match synchronised {
        Ok("yes") => Finding::ok(CHECK, format!("{says}, synchronised")),
        Ok(_) => Finding::warning(
            CHECK,
            format!("{says}, and not synchronised with anybody: it drifts, and tokens with it"),
        )
        .run("timedatectl set-ntp true"),
        Err(why) => Finding::unknown(
            CHECK,
            format!(
                "{says}, which no file contradicts; whether it is synchronised is not known: {why}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_file_from_the_future_is_the_clocks_fault() {
        let now = at(1_800_000_000);
        let store = |written| [("/s/containarium.db".to_owned(), at(written))];
        let set_back = judge(now, &store(1_800_007_200), Ok("yes"));
        assert_eq!(set_back.verdict, Verdict::Problem);
        assert!(
            set_back.found.contains("containarium.db is 7200 s"),
            "{}",
            set_back.found
        );
        assert_eq!(
            judge(now, &store(1_800_000_001), Ok("yes")).verdict,
            Verdict::Ok
        );
        assert_eq!(
            judge(now, &store(1_700_000_000), Ok("no")).verdict,
            Verdict::Warning
        );
        assert_eq!(judge(at(3), &[], Ok("yes")).verdict, Verdict::Problem);
        let alone = judge(now, &[], Err(&"no systemd".to_owned()));
        assert_eq!(alone.verdict, Verdict::Unknown);
    }
}
