//! inotify: one container's systemd takes several instances, and all of them count against the host's
//! root, so that with a distribution's 128 the fifteenth container dies just after it started.

use super::{Finding, Repair, line_of};

const CHECK: &str = "inotify";
/// What `scripts/install-engine` sets; fifty containers ran with it.
const INSTANCES: (&str, u64) = ("fs.inotify.max_user_instances", 8192);
const WATCHES: (&str, u64) = ("fs.inotify.max_user_watches", 1_048_576);
/// What a booted container takes: 128 were enough for fourteen.
const EACH: u64 = 9;

pub(super) fn examine() -> Finding {
    let read = |(key, _): (&str, u64)| {
        let text = line_of(format!("/proc/sys/{}", key.replace('.', "/")))?;
        text.parse().map_err(|_| format!("{key} is {text}"))
    };
    match (read(INSTANCES), read(WATCHES)) {
        (Ok(instances), Ok(watches)) => judge(instances, watches),
        (Err(why), _) | (_, Err(why)) => Finding::unknown(CHECK, why),
    }
}

fn judge(instances: u64, watches: u64) -> Finding {
    let found = format!("{} = {instances}, {} = {watches}", INSTANCES.0, WATCHES.0);
    let mut finding = match (instances >= INSTANCES.1, watches >= WATCHES.1) {
        (true, true) => return Finding::ok(CHECK, found),
        (true, false) => Finding::warning(
            CHECK,
            format!("{found}: programs that watch many files will fail in containers"),
        ),
        // Few hundred containers fit on the largest of servers.
        (false, _) if instances >= 1024 => Finding::warning(
            CHECK,
            format!("{found}: enough for about {} containers", instances / EACH),
        ),
        (false, _) => Finding::problem(
            CHECK,
            format!(
                "{found}: after about {} containers the next dies just after it started, with \
                 `Failed to create control group inotify object`",
                instances / EACH
            ),
        ),
    };
    for ((key, value), is) in [(INSTANCES, instances), (WATCHES, watches)] {
        if is < value {
            finding = finding.repair(Repair::Sysctl { key, value });
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn the_fifteenth_container_is_foreseen() {
        let finding = judge(128, 65_536);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert!(
            finding.found.contains("after about 14 containers"),
            "{}",
            finding.found
        );
        assert_eq!(
            finding.commands,
            [
                "sysctl -w fs.inotify.max_user_instances=8192",
                "echo fs.inotify.max_user_instances=8192 >> /etc/sysctl.d/60-containarium.conf",
                "sysctl -w fs.inotify.max_user_watches=1048576",
                "echo fs.inotify.max_user_watches=1048576 >> /etc/sysctl.d/60-containarium.conf",
            ]
        );
        assert_eq!(judge(4096, 1_048_576).verdict, Verdict::Warning);
        assert_eq!(
            judge(8192, 1_048_576),
            Finding::ok(CHECK, judge(8192, 1_048_576).found)
        );
    }
}
