//! What containers may ask of the host itself: names, an address and an echo, and nothing else. Without
//! it, whatever listens on 0.0.0.0 of the host (a database, this daemon) is open to every tenant.
//!
//! A table of our own in nftables, so that nobody's rules are touched: `init` and every start of the
//! daemon set it, a purge removes it. Not the way between containers, which Incus's port isolation
//! closes, nor the way out.

use std::{path::Path, process::Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

/// The table's name; a hyphen would not be one in nftables.
pub(crate) fn table(name: &str) -> String {
    format!("containarium_{name}")
}

/// Replaces the table, in one step. What is asked of the host is refused and not dropped, so that
/// whoever asks does not wait.
fn rules(name: &str) -> String {
    let table = table(name);
    format!(
        "table inet {table} {{}}
delete table inet {table}
table inet {table} {{
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname \"{name}\" jump guests
  }}
  chain guests {{
    ct state established,related accept
    udp dport {{ 53, 67 }} accept
    tcp dport 53 accept
    icmp type echo-request accept
    reject
  }}
}}
"
    )
}

/// Closes the host's ports to the containers behind the bridge `name`; false where there is no such
/// bridge. An error says why it could not be done.
pub async fn close(name: &str) -> Result<bool, String> {
    // Not where Incus only pretends, and so makes no link.
    if !Path::new("/sys/class/net").join(name).exists() {
        return Ok(false);
    }
    nft(&rules(name)).await.map(|()| true)
}

/// Opens them again, for a purge.
pub(crate) async fn open(name: &str) -> Result<(), String> {
    let table = table(name);
    nft(&format!(
        "table inet {table} {{}}\ndelete table inet {table}\n"
    ))
    .await
}

async fn nft(script: &str) -> Result<(), String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let told = |e: std::io::Error| format!("nft: {e}");
    let mut running = Command::new("nft")
        .args(["-f", "-"])
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(told)?;
    if let Some(mut input) = running.stdin.take() {
        input.write_all(script.as_bytes()).await.map_err(told)?;
    }
    let done = running.wait_with_output().await.map_err(told)?;
    if done.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&done.stderr);
        Err(format!("nft: {}", said.lines().next().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_addresses_and_echoes_are_allowed() {
        insta::assert_snapshot!(rules("ct"));
    }

    #[tokio::test]
    async fn where_there_is_no_bridge_nothing_is_done() {
        assert_eq!(close("nosuchbridge0").await, Ok(false));
    }
}
