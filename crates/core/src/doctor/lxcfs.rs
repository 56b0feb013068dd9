//! lxcfs: shows each container its own memory and processors; without it `free` shows the host's.

use std::time::Duration;

use super::Finding;

const CHECK: &str = "lxcfs";
const PLACE: &str = "/var/lib/lxcfs";
/// A FUSE file system whose server hangs makes every reader hang.
const WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn examine() -> Finding {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let read = tokio::fs::read_to_string(format!("{PLACE}/proc/uptime"));
    let answers = match tokio::time::timeout(WITHIN, read).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {} s", WITHIN.as_secs())),
    };
    judge(&mounts, answers)
}

fn judge(mounts: &str, answers: Result<(), String>) -> Finding {
    let mounted = mounts
        .lines()
        .any(|line| line.contains(&format!(" {PLACE} fuse.lxcfs ")));
    match (mounted, answers) {
        (true, Ok(())) => Finding::ok(CHECK, format!("mounted on {PLACE} and answers")),
        (true, Err(why)) => Finding::problem(
            CHECK,
            format!(
                "{PLACE} is mounted and dead ({why}): /proc/meminfo cannot be read in containers; \
                 after the restart each container must be restarted, too"
            ),
        )
        .run(format!("umount --lazy {PLACE}"))
        .run("systemctl restart lxcfs"),
        (false, _) => Finding::warning(
            CHECK,
            format!(
                "nothing is mounted on {PLACE}: containers see the whole host's memory and \
                 processors; only those started afterwards will see their own"
            ),
        )
        .run("apt-get install -y lxcfs")
        .run("systemctl enable --now lxcfs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn mounted_dead_and_missing_are_three_things() {
        let mounts = "lxcfs /var/lib/lxcfs fuse.lxcfs rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other 0 0\n";
        assert_eq!(judge(mounts, Ok(())).verdict, Verdict::Ok);
        let dead = judge(mounts, Err("Transport endpoint is not connected".into()));
        assert_eq!(dead.verdict, Verdict::Problem);
        assert_eq!(
            judge("", Err("No such file".into())).verdict,
            Verdict::Warning
        );
    }
}
