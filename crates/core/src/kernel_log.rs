//! The kernel's log, asked one thing: whether it killed a container's init for its memory. Not a
//! reader of logs.

use std::{fs::OpenOptions, io::Read as _, os::unix::fs::OpenOptionsExt as _};

/// The longest record that the kernel gives.
const LONGEST: usize = 8192;

/// Whether the kernel ended the init of this instance because the instance had used up its memory.
/// False where the log cannot be read.
pub(crate) async fn killed_for_memory(instance: &str) -> bool {
    let instance = instance.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        records().iter().any(|record| tells(record, &instance))
    });
    asked.await.unwrap_or(false)
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

/// Whether a record tells of it: the memory control group is the instance's, and the task its init.
fn tells(record: &str, instance: &str) -> bool {
    let field = |name: &str| {
        let (_, rest) = record.split_once(name)?;
        rest.split([',', '\n']).next()
    };
    let group = field("oom_memcg=").unwrap_or_default();
    let init = matches!(field("task=").unwrap_or_default(), "systemd" | "init");
    // `/lxc.payload.PROJECT_NAME` or below it.
    record.contains("oom-kill:") && init && group.split(['_', '/']).any(|part| part == instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_the_group_and_the_task() {
        let record = "4,811,92839,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,\
            mems_allowed=0,oom_memcg=/lxc.payload.containarium_c-01a,task_memcg=/lxc.payload.\
            containarium_c-01a/init.scope,task=systemd,pid=4711,uid=1065536";
        assert!(tells(record, "c-01a"));
        assert!(!tells(record, "c-01"));
        assert!(!tells(&record.replace("task=systemd", "task=hog"), "c-01a"));
        assert!(!tells("6,1,1,-;eth0: link up", "c-01a"));
    }
}
