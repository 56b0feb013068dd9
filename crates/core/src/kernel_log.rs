//! The kernel's log, asked one thing: whether it killed a container's init for its memory. Not a
//! reader of logs.

use std::{fs::OpenOptions, io::Read as _, os::unix::fs::OpenOptionsExt as _, time::Duration};

/// The longest record that the kernel gives.
const LONGEST: usize = 8192;

/// An init, and since when: what was killed before is another one's story.
#[derive(Clone, Debug)]
pub(crate) struct Init {
    /// The instance it is of.
    pub(crate) instance: String,
    /// Its user id on the host: others in the container may have its name.
    pub(crate) uid: u32,
    /// How long ago it began.
    pub(crate) began: Duration,
}

/// Whether the kernel ended this init because its instance had used up its memory. False where the
/// log cannot be read.
pub(crate) async fn killed_for_memory(init: Init) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        let Some(up) = up() else { return false };
        // The two clocks are not the same one.
        let since = up.saturating_sub(init.began + Duration::from_secs(1));
        records().iter().any(|record| tells(record, &init, since))
    });
    asked.await.unwrap_or(false)
}

/// How long this host is up.
fn up() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What is in the ring buffer, a record each.
fn records() -> Vec<String> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open("/dev/kmsg");
    let Ok(mut log) = opened else {
        return Vec::new();
    };
    let mut records = Vec::new();
    let mut buffer = vec![0; LONGEST];
    // One record a read; at the end it would have to wait.
    while let Ok(length) = log.read(&mut buffer) {
        match buffer.get(..length) {
            Some(text) if length > 0 => records.push(String::from_utf8_lossy(text).into_owned()),
            Some(_) | None => break,
        }
    }
    records
}

/// Whether a record tells of it: the memory control group is the instance's, the task is its init, and
/// it was written when the host was up for longer than `since`.
fn tells(record: &str, init: &Init, since: Duration) -> bool {
    let Some((head, said)) = record.split_once(';') else {
        return false;
    };
    // `PRIORITY,NUMBER,MICROSECONDS,FLAGS`.
    let at = head.split(',').nth(2).and_then(|text| text.parse().ok());
    let field = |name: &str| {
        let (_, rest) = said.split_once(name)?;
        rest.split([',', '\n']).next()
    };
    // `/lxc.payload.PROJECT_NAME`, or below it; the task is of this group, or of one below.
    let group = field(",oom_memcg=").unwrap_or_default();
    let is_init = matches!(field(",task="), Some("systemd" | "init"))
        && field(",uid=").and_then(|text| text.parse().ok()) == Some(init.uid);
    said.starts_with("oom-kill:")
        && at.is_some_and(|at| Duration::from_micros(at) >= since)
        && is_init
        && group.split(['_', '/']).any(|part| part == init.instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 wrote it, with control groups of version 1, when a container of 256 MB was eaten up.
    const RECORDED: &str = "6,1307,4450360993,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),\
        cpuset=lxc.payload.truth_c-01m7zfmjh211kzpnzajhsxb93t,mems_allowed=0,\
        oom_memcg=/lxc.payload.truth_c-01m7zfmjh211kzpnzajhsxb93t,\
        task_memcg=/lxc.payload.truth_c-01m7zfmjh211kzpnzajhsxb93t/init.scope,\
        task=systemd,pid=11997,uid=501022720\n";

    #[test]
    fn a_record_names_the_group_the_task_and_the_time() {
        let init = Init {
            instance: "c-01m7zfmjh211kzpnzajhsxb93t".into(),
            uid: 501_022_720,
            began: Duration::ZERO,
        };
        let since = Duration::from_secs(4450);
        assert!(tells(RECORDED, &init, since));
        assert!(
            !tells(RECORDED, &init, Duration::from_secs(4451)),
            "an older one"
        );
        let other = Init {
            instance: "c-01m7zfmjh211kzpnzajhsxb93".into(),
            ..init.clone()
        };
        assert!(!tells(RECORDED, &other, since));
        for (from, to) in [
            ("task=systemd", "task=hog"),
            // Such as a user's own systemd.
            ("uid=501022720", "uid=501023720"),
            ("oom-kill:", "eth0: link up "),
        ] {
            assert!(!tells(&RECORDED.replace(from, to), &init, since), "{to}");
        }
    }
}
