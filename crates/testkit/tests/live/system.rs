//! The host, as it is told.

use std::fs;

use containarium_contract::{GetSystemInfo, HostEngine};
use containarium_testkit::Key;

use super::start;

/// The first number of a line of `/proc/meminfo`, bytes.
fn meminfo(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Whether two numbers are within a tenth of each other.
fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= b / 10
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_the_host_is_what_proc_says() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    daemon.create("alice", &key).await;
    daemon.create("bob", &key).await;
    daemon
        .ask_as_admin("POST", "/v1/containers/bob/stop", None)
        .await;
    let info = daemon.admin().call(&GetSystemInfo {}).await.unwrap().info;
    let line = |path| fs::read_to_string(path).unwrap().trim().to_owned();
    assert_eq!(info.engine, HostEngine::Ok);
    assert_eq!(
        info.kernel_version.unwrap(),
        line("/proc/sys/kernel/osrelease")
    );
    assert_eq!(info.hostname.unwrap(), line("/proc/sys/kernel/hostname"));
    assert_eq!(info.default_image, bed.installation.default_image);
    let counts = (
        info.containers_running,
        info.containers_stopped,
        info.containers_total,
    );
    assert_eq!(counts, (Some(1), Some(1), 2));
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let cpus = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count() as u64;
    assert_eq!(info.total_cpus.unwrap(), cpus);
    // Incus counts what the firmware keeps for itself, the kernel does not.
    assert!(
        close(info.total_memory_bytes.unwrap(), meminfo("MemTotal")),
        "{:?}",
        info.total_memory_bytes
    );
    assert!(close(
        info.available_memory_bytes.unwrap(),
        meminfo("MemAvailable")
    ));
    let uptime: f64 = line("/proc/uptime")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((info.uptime_seconds.unwrap() as f64 - uptime).abs() < 5.0);
    assert!(info.available_disk_bytes.unwrap() < info.total_disk_bytes.unwrap());
}
