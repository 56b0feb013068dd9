//! `containarium get`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{ContainerAnswer, Exit, ExitReason, GetContainer, Username};

use crate::{failure::Failure, output::Format, size, state, table};

/// Show one container and what it uses
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Whose container
    username: Username,
}

impl From<Get> for GetContainer {
    fn from(Get { username }: Get) -> Self {
        Self { username }
    }
}

impl Get {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let answer = client.call(&GetContainer::from(self)).await?;
        output.print(&answer, drawn)
    }
}

fn drawn(answer: &ContainerAnswer) -> String {
    let container = &answer.container;
    let metrics = answer.metrics.as_ref();
    let used = |bytes: Option<u64>| bytes.map(size::bytes).unwrap_or_default();
    let of = |bytes: Option<u64>, limit: &str| match bytes {
        Some(_) => format!("{} of {limit}", used(bytes)),
        None => limit.to_owned(),
    };
    let labels: Vec<String> = container
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let keys: Vec<&str> = container
        .ssh_keys
        .iter()
        .map(|key| key.fingerprint().as_str())
        .collect();
    let memory = metrics.and_then(|m| m.memory_usage_bytes);
    let disk = metrics.and_then(|m| m.disk_usage_bytes);
    table::facts([
        ("Name", Some(container.name.clone())),
        ("Username", Some(container.username.to_string())),
        ("ID", container.id.as_ref().map(ToString::to_string)),
        ("Owner", Some(container.owner.to_string())),
        (
            "State",
            container.state.map(|state| state::name(state).to_owned()),
        ),
        ("Detail", container.detail.as_deref().map(table::plain)),
        ("Kept until", container.deleted_until.clone()),
        ("Last exit", container.last_exit.as_ref().map(exit)),
        ("Address", Some(container.network.ip_address.clone())),
        ("Image", Some(container.image.to_string())),
        (
            "Docker",
            Some(
                if container.docker_enabled {
                    "yes"
                } else {
                    "no"
                }
                .to_owned(),
            ),
        ),
        ("CPU", Some(container.resources.cpu.to_string())),
        (
            "Memory",
            Some(of(memory, &container.resources.memory.to_string())),
        ),
        (
            "Disk",
            Some(of(disk, &container.resources.disk.to_string())),
        ),
        (
            "CPU time",
            metrics
                .and_then(|m| m.cpu_usage_seconds)
                .map(|s| format!("{s} s")),
        ),
        (
            "Processes",
            metrics.and_then(|m| m.process_count).map(|n| n.to_string()),
        ),
        ("Labels", (!labels.is_empty()).then(|| labels.join(", "))),
        (
            "SSH keys",
            Some(if keys.is_empty() {
                "none".to_owned()
            } else {
                keys.join("\n")
            }),
        ),
    ])
}

/// When, why, by whom, and what it said at last.
fn exit(exit: &Exit) -> String {
    let Exit {
        at,
        reason,
        detail,
        actor,
        operation,
        console,
    } = exit;
    let why = match reason {
        ExitReason::Requested => "requested",
        ExitReason::Guest => "from inside",
        ExitReason::OutOfMemory => "out of memory",
        ExitReason::Engine => "through Incus",
        ExitReason::Unobserved => "unobserved",
    };
    let by = actor.as_ref().map(|actor| format!(", by {actor}"));
    let mut lines = vec![
        format!("{at}, {why}{}", by.unwrap_or_default()),
        detail.clone(),
    ];
    lines.extend(operation.as_ref().map(|id| format!("operation {id}")));
    let console = console.as_deref().unwrap_or_default().lines();
    lines.extend(console.map(|line| format!("  | {line}")));
    table::plain(&lines.join("\n"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};
    use containarium_contract::{Container, EngineHealth, State};
    use serde_json::json;

    /// A container that runs.
    pub(crate) fn container(username: &str) -> Container {
        serde_json::from_value(json!({
            "id": "01jd3zq8m4k6t1w9v5r2x7y0ab", "name": format!("{username}-container"),
            "username": username, "owner": "carol",
            "state": "running", "resources": {"cpu": "4", "memory": "4GB", "disk": "50GB"},
            "sshKeys": [
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"
            ],
            "network": {
                "ipAddress": "10.0.0.2", "macAddress": "00:16:3e:00:00:01", "interface": "eth0",
                "bridge": "br0"
            },
            "createdAt": 1, "updatedAt": 2, "labels": {"team": "red", "stage": "test"},
            "image": "images:ubuntu/24.04", "dockerEnabled": true
        }))
        .unwrap()
    }

    #[test]
    fn the_username_reaches_its_field() {
        let Command::Get(get) = parsed("get alice") else {
            panic!()
        };
        assert_eq!(
            GetContainer::from(get),
            GetContainer {
                username: "alice".parse().unwrap()
            }
        );
    }

    #[test]
    fn one_of_an_older_server_has_no_id() {
        let mut told = serde_json::to_value(container("alice")).unwrap();
        told.as_object_mut().unwrap().remove("id");
        let read: Container = serde_json::from_value(told).unwrap();
        assert_eq!(read.id, None);
    }

    #[test]
    fn a_container_is_drawn_like_this() {
        let answer: ContainerAnswer = serde_json::from_value(json!({
            "container": container("alice"), "engine": "ok",
            "metrics": {
                "name": "alice-container", "cpuUsageSeconds": 12, "processCount": 17,
                "memoryUsageBytes": 1_610_612_736_u64, "sampledAt": "2026-01-01T00:00:00Z"
            }
        }))
        .unwrap();
        insta::assert_snapshot!(drawn(&answer));
    }

    #[test]
    fn one_that_died_says_when_and_why() {
        let mut dead = container("alice");
        dead.state = Some(State::Error);
        dead.detail = Some("it ran out of memory, and nobody has started it since".into());
        dead.ssh_keys.clear();
        dead.last_exit = serde_json::from_value(json!({
            "at": "2026-11-21T10:00:00Z", "reason": "out_of_memory",
            "detail": "the kernel killed its init", "actor": "carol",
            "operation": "01JD3ZQ8M4K6T1W9V5R2X7Y0BC",
            "console": "\u{1b}[31mOut of memory: Killed process 1\u{1b}[0m\r\nPower down."
        }))
        .unwrap();
        let answer = ContainerAnswer {
            container: dead,
            metrics: None,
            engine: EngineHealth::Ok,
        };
        insta::assert_snapshot!(drawn(&answer));
    }
}
