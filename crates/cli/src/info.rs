//! `containarium info`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{GetSystemInfo, HostEngine, StandbyInfo, SystemInfoAnswer};

use crate::{failure::Failure, output::Format, size, table};

/// Show the host: its resources, and how many containers there are
#[derive(Debug, Args)]
pub(crate) struct Info {}

impl From<Info> for GetSystemInfo {
    fn from(Info {}: Info) -> Self {
        Self {}
    }
}

impl Info {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let answer = client.call(&GetSystemInfo::from(self)).await?;
        output.print(&answer, drawn)
    }
}

fn drawn(SystemInfoAnswer { info }: &SystemInfoAnswer) -> String {
    let engine = match info.engine {
        HostEngine::Ok => "ok",
        HostEngine::Unreachable => "unreachable",
        HostEngine::Sim => "sim (nothing real is created)",
    };
    let running = info.containers_running.map(|n| format!(", {n} running"));
    let stopped = info.containers_stopped.map(|n| format!(", {n} stopped"));
    let containers = [Some(info.containers_total.to_string()), running, stopped];
    let free = |free: Option<u64>, total: Option<u64>| match (free, total) {
        (Some(free), Some(total)) => Some(format!(
            "{}, {} available",
            size::bytes(total),
            size::bytes(free)
        )),
        (None, total) => total.map(size::bytes),
        (Some(free), None) => Some(format!("{} available", size::bytes(free))),
    };
    table::facts([
        ("Host", info.hostname.clone()),
        ("System", info.os.clone()),
        ("Kernel", info.kernel_version.clone()),
        ("Up", info.uptime_seconds.map(size::duration)),
        ("Engine", Some(engine.to_owned())),
        ("Incus", info.incus_version.clone()),
        ("Default image", Some(info.default_image.to_string())),
        (
            "Containers",
            Some(containers.into_iter().flatten().collect()),
        ),
        ("Standby", standby(&info.standby)),
        ("CPUs", info.total_cpus.map(|n| n.to_string())),
        (
            "Memory",
            free(info.available_memory_bytes, info.total_memory_bytes),
        ),
        (
            "Disk",
            free(info.available_disk_bytes, info.total_disk_bytes),
        ),
    ])
}

/// Those that are booted beforehand, where any are kept.
fn standby(kinds: &[StandbyInfo]) -> Option<String> {
    let each = kinds.iter().map(|kind| {
        let StandbyInfo {
            image,
            docker,
            wanted,
            ready,
        } = kind;
        let docker = if *docker { " with Docker" } else { "" };
        format!("{ready} of {wanted} {image}{docker}")
    });
    Some(each.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};
    use serde_json::json;

    #[test]
    fn it_takes_nothing() {
        let Command::Info(info) = parsed("info") else {
            panic!()
        };
        assert_eq!(GetSystemInfo::from(info), GetSystemInfo {});
    }

    #[test]
    fn the_host_is_drawn_like_this() {
        let answer: SystemInfoAnswer = serde_json::from_value(json!({"info": {
            "engine": "ok", "defaultImage": "images:ubuntu/24.04", "containersTotal": 3,
            "containersRunning": 2, "containersStopped": 1, "totalMemoryBytes": 17_179_869_184_u64,
            "availableMemoryBytes": 1_073_741_824, "hostname": "boxes", "uptimeSeconds": 90_000,
            "standby": [{"image": "local:debian/12", "docker": true, "wanted": 2, "ready": 1}]
        }}))
        .unwrap();
        insta::assert_snapshot!(drawn(&answer));
    }
}
