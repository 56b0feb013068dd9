//! `containarium doctor`: each known trap of a server a check, with its evidence and the command that
//! removes it. It looks and judges; only [`repair`] changes something, and only what is safe.
//!
//! A check is a file: a pure function judges what was observed, a small one observes. Observing never
//! fails a check: what cannot be seen here is [`Verdict::Unknown`], and says why.
//!
//! ```text
//! host files ─┐
//! commands   ─┼─ at once ─► findings ─► one throwaway container (not with --quick) ─► findings
//! Incus      ─┘
//! ```

mod apparmor;
mod bridge;
mod cgroup;
mod chain;
mod clock;
mod command;
mod daemon;
mod disk;
mod engine;
mod fill;
mod finding;
mod firewall;
mod host_ports;
mod ids;
mod inotify;
mod iptables;
mod leftovers;
mod listener;
mod lxcfs;
mod lxd;
mod modes;
mod mtu;
mod neighbours;
mod nft;
mod outcome;
mod probe;
mod quota_counting;
mod repair;
mod secret;
mod storage;
mod store;
mod subnet;
mod userns;
mod version;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use containarium_incus::Client;
use tokio_util::sync::CancellationToken;

use crate::{Installation, Store, setup::Report};

pub use finding::{Finding, Verdict};
pub(crate) use probe::{Trials, try_out};
pub use repair::{Repair, Repaired, repair};

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Doctor {
    /// Where the store is, or will be.
    pub state_dir: PathBuf,
    /// Incus's unix socket.
    pub engine: PathBuf,
    /// Where the daemon listens, or will.
    pub address: IpAddr,
    /// The same.
    pub port: u16,
    /// Whether to leave out what needs a container made.
    pub quick: bool,
}

impl Doctor {
    /// Looks at everything. When `cancel` is, the throwaway container is removed and what was
    /// found until then is told.
    pub async fn examine(&self, cancel: &CancellationToken, report: Report<'_>) -> Vec<Finding> {
        let incus = Client::unix(&self.engine);
        let store = store::look(&self.state_dir).await;
        let installation = store.installation.as_ref();
        let mut findings = Vec::new();

        report("looking at Incus, this host and its network");
        let (engine, host, network) = tokio::join!(
            engine::examine(&incus, &self.engine, installation, &store),
            self.host(installation),
            self.network(&incus, installation),
        );
        findings.extend(engine.findings);
        findings.extend(installation.and_then(|here| quota_counting::examine(&self.engine, here)));
        findings.extend(host);
        findings.extend(network);
        findings.push(store.finding);

        match (installation, &store.store) {
            _ if self.quick => {}
            (Some(installation), Some(store)) if engine.usable => {
                findings.extend(
                    try_out(
                        &incus,
                        installation,
                        store,
                        &self.state_dir,
                        Trials::All,
                        cancel,
                        report,
                    )
                    .await,
                );
            }
            _ => findings.push(Finding::unknown(
                "probes",
                "no container was made to time a clone, write past a quota, reach out and run \
                 Docker: that needs Incus and an installation (`containarium init`)",
            )),
        }
        findings
    }

    /// What only this machine's files say.
    async fn host(&self, installation: Option<&Installation>) -> Vec<Finding> {
        let mut findings = vec![
            inotify::examine(),
            ids::examine(installation),
            userns::examine(),
            lxcfs::examine().await,
            cgroup::examine(),
            apparmor::examine(),
            clock::examine(&self.state_dir).await,
            secret::examine(&self.state_dir, self.address),
            lxd::examine(),
        ];
        findings.extend(modes::examine(&self.state_dir));
        findings.extend(disk::examine(&self.state_dir, &self.engine));
        findings.push(daemon::examine(self.address, self.port).await);
        findings
    }

    /// What stands between containers and the world.
    async fn network(&self, incus: &Client, installation: Option<&Installation>) -> Vec<Finding> {
        let (subnet, firewall, ports) = tokio::join!(
            subnet::examine(installation),
            firewall::examine(installation),
            host_ports::examine(installation),
        );
        let mut findings = vec![subnet];
        findings.extend(bridge::examine(installation));
        findings.extend(firewall);
        findings.extend(ports);
        findings.extend(mtu::examine(incus, installation).await);
        findings
    }
}

/// The text of a file of the kernel's, without the line's end.
fn line_of(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// The store of a state directory, if it has one.
struct Looked {
    finding: Finding,
    store: Option<Store>,
    installation: Option<Installation>,
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::Installation;

    /// What `init` leaves on an empty machine.
    pub(crate) fn installation() -> Installation {
        Installation {
            id: "01".into(),
            name: "ct".into(),
            pool: "ct".into(),
            gateway: [10, 64, 0, 1].into(),
            prefix: 16,
            uid_first: 501_022_720,
            uid_ranges: 7000,
            default_image: "local:debian/12".parse().unwrap(),
            ssh_port: 22,
            simulated: false,
        }
    }
}
