//! What containers may ask of the host itself: names, an address and an echo, and nothing else. Without
//! it, whatever listens on 0.0.0.0 of the host (a database, this daemon) is open to every tenant.
//!
//! A table of our own in nftables, so that nobody's rules are touched: `init` and every start of the
//! daemon set it, a purge removes it. Not the way between containers, which Incus's port isolation
//! closes, nor the way out.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::Installation;

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

/// Closes the host's ports to an installation's containers, also before their bridge is there; false
/// where they are only simulated. An error says why it could not be done.
pub async fn close(here: &Installation) -> Result<bool, String> {
    // Incus in memory has its containers on loopback, behind no bridge.
    if here.simulated || here.gateway.is_loopback() {
        return Ok(false);
    }
    nft(&rules(&here.name)).await.map(|()| true)
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
    async fn what_is_only_simulated_changes_no_rules() {
        let simulated = Installation {
            gateway: [127, 3, 0, 1].into(),
            ..crate::doctor::tests::installation()
        };
        assert_eq!(close(&simulated).await, Ok(false));
    }
}
