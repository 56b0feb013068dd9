//! The clean slate: whether store and engine agree, nothing was left behind, and nothing is under
//! way any more.

use std::{collections::BTreeMap, time::Duration};

use containarium_incus::StatusCode;
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use super::{Calls, Under};

/// How long it may take until all is in order.
pub const CLEAN: Duration = Duration::from_secs(30);
/// How long a banner may take.
const BANNER: Duration = Duration::from_secs(5);

/// Looks until all is in order; panics with what was not after [`CLEAN`].
pub async fn clean(calls: &Calls, under: &Under) {
    crate::wait_for(CLEAN, "a clean slate", async || {
        let mut wrong = Vec::new();
        look(calls, under, &mut wrong).await;
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    })
    .await;
}

/// Everything that is not in order now.
pub(super) async fn look(calls: &Calls, under: &Under, wrong: &mut Vec<String>) {
    // I3, I6: what the daemon itself finds.
    let leaks = calls.get("/v1/admin/leaks").await;
    if leaks.status != 200 || leaks.json()["engine"] == "unreachable" {
        wrong.push(format!("leaks: {} {}", leaks.status, leaks.body));
        return;
    }
    for leak in leaks.json()["leaks"].as_array().unwrap() {
        wrong.push(format!("leak: {leak}"));
    }
    let operations = calls.get("/v1/operations?limit=100").await.json();
    for operation in operations["operations"].as_array().unwrap() {
        let state = operation["state"].as_str().unwrap();
        if !["succeeded", "failed", "cancelled"].contains(&state) {
            wrong.push(format!("not over: {operation}"));
        }
    }
    // I1, I2: rows and instances one to one, found without the daemon's help.
    let rows = rows(calls).await;
    let instances = under.instances().await;
    let mut behind: BTreeMap<String, Vec<StatusCode>> = BTreeMap::new();
    let mut addresses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for instance in instances {
        let tag = |name: &str| {
            let value = instance.config.get(&format!("user.containarium.{name}"));
            value.cloned().unwrap_or_default()
        };
        if tag("phase") == "standby" && instance.status_code == StatusCode::FROZEN {
            // Nobody's, and ready for somebody.
            continue;
        }
        if tag("phase") != "ready" {
            wrong.push(format!("{} is not marked as ready", instance.name));
        }
        addresses
            .entry(tag("address"))
            .or_default()
            .push(instance.name.clone());
        behind
            .entry(tag("username"))
            .or_default()
            .push(instance.status_code);
    }
    for (address, names) in addresses {
        if names.len() > 1 {
            wrong.push(format!("{address} has been given to {names:?}"));
        }
    }
    for (username, rows) in &rows {
        let there = behind.remove(username).unwrap_or_default();
        if there.len() != rows.len() {
            wrong.push(format!(
                "{username}: {} rows, instances {there:?}",
                rows.len()
            ));
        }
        for row in rows {
            if let Some(said) = untrue(row, &there, under).await {
                wrong.push(format!("{username}: {said}"));
            }
        }
    }
    for (username, there) in behind {
        wrong.push(format!("{username}: no row, instances {there:?}"));
    }
}

/// What is listed, the deleted ones too, by name.
async fn rows(calls: &Calls) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for path in ["/v1/containers", "/v1/containers?state=deleted"] {
        let all = calls.get(path).await.json();
        for row in all["containers"].as_array().unwrap() {
            let username = row["username"].as_str().unwrap().to_owned();
            rows.entry(username).or_default().push(row.clone());
        }
    }
    rows
}

/// What is said of a container and is not so.
async fn untrue(row: &Value, there: &[StatusCode], under: &Under) -> Option<String> {
    let state = row["state"].as_str().unwrap_or("unknown");
    match state {
        "running" => {
            if !there.contains(&StatusCode::RUNNING) {
                return Some(format!("told as running, and Incus says {there:?}"));
            }
            let at = row["network"]["ipAddress"].as_str().unwrap();
            let spoke = timeout(BANNER, banner(at, under.ssh_port)).await;
            match spoke {
                Ok(Ok(text)) if text.starts_with("SSH-") => None,
                other => Some(format!("told as running, and its sshd says {other:?}")),
            }
        }
        "stopped" | "deleted" => {
            let stopped = there.contains(&StatusCode::STOPPED);
            (!stopped).then(|| format!("told as {state}, and Incus says {there:?}"))
        }
        _ => Some(format!("{state}: {}", row["detail"])),
    }
}

async fn banner(address: &str, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, port)).await?;
    let mut read = [0; 64];
    let length = stream.read(&mut read).await?;
    Ok(String::from_utf8_lossy(&read[..length]).into_owned())
}
