//! One throwaway container, made like a user's, in which things are tried for real: how long a clone
//! takes, whether its quota holds, whether it gets out, whether Docker works. It is removed whatever
//! comes of it; one that a killed run left is removed by the next.

use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use containarium_contract::{ByteSize, Resources, Subject, Username};
use containarium_incus::{Client, Error, Exec, Instance, InstancePatch, StateChange, StoragePool};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::{
    Finding,
    fill::{self, Limit},
    outcome::{self, Ran, Reached},
};
use crate::{
    Installation, Record, Spec, Store,
    clock::now,
    engine::{self, Engine, INSTALL_TAG, Tags},
    installation::UIDS,
    login,
    setup::Report,
    store::Phase,
};

/// Tells our probes from containers, and from `init`'s builders.
pub(super) const PREFIX: &str = "doctor-";
const LOG: &str = "/run/containarium-doctor.log";
const MAKE: Duration = Duration::from_secs(120);
const BOOT: Duration = Duration::from_secs(30);
const SCRIPT: Duration = Duration::from_secs(60);
/// How long writing its disk full may take: a gigabyte, on a slow one.
const FILL: Duration = Duration::from_secs(240);

/// `errno` of BTRFS_IOC_SUBVOL_CREATE; perl is in every Debian and Ubuntu.
const ESCAPE: &str = r#"perl -e 'open(my $d, "<", "/root") or die;
my $arguments = pack("q a4088", 0, "escaped"); $! = 0;
ioctl($d, 0x5000940e, $arguments); print $!+0, "\n"'"#;

const PLACES: &str =
    r"grep -rhoE 'https?://[^] ]+' /etc/apt/sources.list /etc/apt/sources.list.d | head -n 1";

/// An image of the guest's own `echo` with its libraries: no registry, no program of the host.
const DOCKER: &str = r#"
systemctl start docker || { systemctl status --no-pager docker | tail -n 5; exit 1; }
runc --version | head -n 1
docker --version
files=$(ldd /bin/echo | grep -oE '/[^ ]+')
tar -ch /bin/echo $files 2>/dev/null | docker import - containarium-doctor >/dev/null || exit
docker run --rm containarium-doctor /bin/echo hello from a container in a container
"#;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trials {
    /// Everything there is to try.
    All,
    /// How long a clone takes, and whether its quota holds.
    Storage,
}

/// Tries things out; one run at a time.
pub(crate) async fn try_out(
    incus: &Client,
    here: &Installation,
    store: &Store,
    state_dir: &Path,
    trials: Trials,
    cancel: &CancellationToken,
    report: Report<'_>,
) -> Vec<Finding> {
    let unknown = |why: String| vec![Finding::unknown("probes", why)];
    // Held until the end of this function, and by nobody once this process is gone.
    let lock = std::fs::File::open(state_dir);
    let _held = match lock.map(|dir| {
        (
            rustix::fs::flock(&dir, rustix::fs::FlockOperation::NonBlockingLockExclusive),
            dir,
        )
    }) {
        Ok((Ok(()), dir)) => dir,
        Ok((Err(_), _)) => {
            return unknown("another `containarium doctor` is trying things just now".into());
        }
        Err(e) => return unknown(format!("{}: {e}", state_dir.display())),
    };
    let engine = Engine::new(incus, here.clone());
    let incus = incus.in_project(&here.name);
    if let Err(e) = sweep(&incus, &engine).await {
        return unknown(format!("what an earlier run left cannot be removed: {e}"));
    }
    let pool = match incus.storage_pool(&here.pool).await {
        Ok(pool) => pool,
        Err(e) => {
            return unknown(format!(
                "Incus does not tell of the pool {}: {e}",
                here.pool
            ));
        }
    };
    let limit = Limit::of(&pool);
    let record = match record(&incus, here, store, limit.disk()).await {
        Ok(record) => record,
        Err(why) => return unknown(why),
    };
    report(match trials {
        Trials::All => {
            "trying a clone, its quota, the network and Docker in a container of our own"
        }
        Trials::Storage => "trying a clone and its quota in a container of our own",
    });
    let name = format!("{PREFIX}{}", record.id);
    let probe = Probe {
        incus: &incus,
        engine: &engine,
        record: &record,
        name: &name,
        pool: &pool,
        limit,
    };
    // Making it is not interrupted: Incus would go on with it.
    let mut findings = Vec::new();
    if let Some(made) = probe.made(&mut findings).await {
        let tried = async {
            if probe.booted(made, &mut findings).await {
                probe.tried(trials, &mut findings).await;
            }
        };
        if cancel.run_until_cancelled(tried).await.is_none() {
            findings.push(Finding::unknown("probes", "interrupted"));
        }
    }
    if let Err(e) = engine.remove(&name).await {
        findings.push(
            Finding::warning(
                "probes",
                format!("the container {name} cannot be removed: {e}"),
            )
            .run(format!(
                "incus delete --force --project {} {name}",
                here.name
            )),
        );
    }
    findings
}

/// Removes what a run that was killed has left.
async fn sweep(incus: &Client, engine: &Engine) -> Result<(), Error> {
    let left = |instance: Instance| {
        let ours = instance.config.get(INSTALL_TAG) == Some(&engine.installation.id);
        (ours && instance.name.starts_with(PREFIX)).then_some(instance.name)
    };
    for name in incus.each_instance(left).await? {
        engine.remove(&name).await?;
    }
    Ok(())
}

/// A container like any user's, with an address and user ids that no user gets.
async fn record(
    incus: &Client,
    here: &Installation,
    store: &Store,
    disk: u64,
) -> Result<Record, String> {
    let known = store.all_containers().into_iter();
    let known = known.map(|record| (Some(record.address), Some(record.uid_base)));
    // Standbys and builders have no row.
    let there = incus.each_instance(|instance| {
        let tags = Tags::of(&instance);
        Some((tags.address, tags.uid_base))
    });
    let there = there
        .await
        .map_err(|e| format!("Incus does not list what it has: {e}"))?;
    let (addresses, uids): (Vec<_>, Vec<_>) = known.chain(there).unzip();
    let (address, uid_base) = free(here, &addresses, &uids)
        .ok_or("there is no free address or range of user ids for a container")?;
    let parsed = |e: &dyn std::fmt::Display| e.to_string();
    let username: Username = "doctor".parse().map_err(|e| parsed(&e))?;
    Ok(Record {
        id: Ulid::generate().to_string().to_lowercase(),
        owner: Subject::from(&username),
        username,
        phase: Phase::Creating,
        spec: Spec {
            resources: Resources {
                cpu: "1".parse().map_err(|e| parsed(&e))?,
                memory: "1GB".parse().map_err(|e| parsed(&e))?,
                disk: ByteSize::from_bytes(disk),
            },
            ssh_keys: Vec::new(),
            image: here.default_image.clone(),
            docker: true,
            labels: std::collections::BTreeMap::new(),
        },
        address,
        uid_base,
        running: false,
        kept_until: None,
        fault: None,
        exit: None,
        created_at: now(),
        updated_at: now(),
    })
}

/// An address and user ids that nobody has, and that no user gets.
fn free(
    here: &Installation,
    addresses: &[Option<Ipv4Addr>],
    uids: &[Option<u32>],
) -> Option<(Ipv4Addr, u32)> {
    // The bridge's is the first, a builder's the second; users' begin at the tenth.
    let address = (2..9)
        .map(|n| Ipv4Addr::from(u32::from(here.gateway) + n))
        .find(|address| !addresses.contains(&Some(*address)))?;
    // Users' are given out from below.
    let uid_base = (0..here.uid_ranges)
        .rev()
        .map(|n| here.uid_first + n * UIDS)
        .find(|base| !uids.contains(&Some(*base)))?;
    Some((address, uid_base))
}

struct Probe<'a> {
    incus: &'a Client,
    engine: &'a Engine,
    record: &'a Record,
    name: &'a str,
    pool: &'a StoragePool,
    limit: Limit,
}

impl Probe<'_> {
    /// Makes and starts it; how long the making took and when it was started, or `None` where there
    /// is nothing to go on with.
    async fn made(&self, findings: &mut Vec<Finding>) -> Option<(Duration, Instant)> {
        let mut post = engine::instance(&self.engine.installation, self.record);
        post.name = self.name.to_owned();
        post.description = "Containarium: `doctor` tries things in it and removes it".into();
        post.start = false;
        let begun = Instant::now();
        let made = async {
            let operation = self.incus.create_instance(&post).await?;
            self.incus.wait(&operation, MAKE).await
        };
        let failed = |what: &str, e: &Error| {
            Finding::problem("clone", format!("a container cannot be {what}: {e}"))
                .run("containarium init  # prepares what is missing")
        };
        if let Err(e) = made.await {
            findings.push(failed("made", &e));
            return None;
        }
        let took = begun.elapsed();
        let begun = Instant::now();
        let started = async {
            let start = StateChange::start();
            let operation = self.incus.change_state(self.name, &start).await?;
            self.incus.wait(&operation, MAKE).await
        };
        if let Err(e) = started.await {
            findings.push(failed("started", &e));
            return None;
        }
        Some((took, begun))
    }

    /// Waits for its greeting; false where there is none.
    async fn booted(
        &self,
        (took, begun): (Duration, Instant),
        findings: &mut Vec<Finding>,
    ) -> bool {
        let deadline = tokio::time::Instant::now() + BOOT;
        let sshd = self.engine.installation.at(self.record.address, 22);
        if login::banner(sshd, deadline).await {
            findings.push(outcome::clone(took, Some(begun.elapsed())));
            return true;
        }
        findings.push(outcome::clone(took, None));
        let console = self.engine.evidence(self.name).await;
        findings.push(
            Finding::problem(
                "boot",
                format!(
                    "it was started and did not greet at {}:22 within {} s; its console ends: {console}",
                    self.record.address,
                    BOOT.as_secs()
                ),
            )
            .run(format!("ip route get {}", self.record.address)),
        );
        false
    }

    async fn tried(&self, trials: Trials, findings: &mut Vec<Finding>) {
        if trials == Trials::All {
            self.used(findings).await;
        }
        findings.push(match self.run(ESCAPE).await {
            Ok(ran) => outcome::escape(&ran),
            Err(e) => Finding::unknown("quota-escape", e.to_string()),
        });
        // Last, because little works in a container whose disk is full.
        findings.push(match self.filled().await {
            Ok(finding) => finding,
            Err(e) => Finding::unknown("quota", format!("it could not be tried: {e}")),
        });
    }

    /// As its user would.
    async fn used(&self, findings: &mut Vec<Finding>) {
        // A login works before the name service and Docker do. That some unit failed is no matter.
        let booted = self.run("systemctl is-system-running --wait").await;
        if let Err(e) = booted {
            findings.push(Finding::warning(
                "boot",
                format!("it does not come up whole: {e}"),
            ));
        }
        findings.push(match self.reached().await {
            Ok(reached) => outcome::network(reached.as_ref(), &self.engine.installation.name),
            Err(e) => Finding::unknown("network", e.to_string()),
        });
        findings.push(match self.run(DOCKER).await {
            Ok(ran) => outcome::docker(&ran),
            Err(e) => Finding::unknown("docker", e.to_string()),
        });
    }

    /// What a script inside ends with and prints.
    async fn run(&self, script: &str) -> Result<Ran, Error> {
        self.run_within(script, SCRIPT).await
    }

    async fn run_within(&self, script: &str, within: Duration) -> Result<Ran, Error> {
        // Into memory: Incus's own record of an output is on the disk that is to be filled.
        let command = format!("({script}\n) > {LOG} 2>&1");
        let exec = Exec::new(["bash", "-c", command.as_str()]);
        let code = self.incus.exec(self.name, &exec, within).await?;
        let log = self.incus.pull_file(self.name, LOG).await?;
        Ok(Ran {
            code,
            text: String::from_utf8_lossy(&log).into_owned(),
        })
    }

    async fn reached(&self) -> Result<Option<Reached>, Error> {
        let named = self.run(PLACES).await?;
        let Some((host, port)) = place(named.text.trim()) else {
            return Ok(None);
        };
        let dial = timeout(
            Duration::from_secs(5),
            TcpStream::connect((host.as_str(), port)),
        );
        let here = match dial.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err("no answer within 5 s".to_owned()),
        };
        let resolved = self
            .run(&format!("timeout 8 getent ahostsv4 {host}"))
            .await?;
        let connected = format!("timeout 5 bash -c '</dev/tcp/{host}/{port}'");
        let inside = resolved.code == 0 && self.run(&connected).await?.code == 0;
        Ok(Some(Reached {
            place: format!("{host}:{port}"),
            here,
            resolved: resolved.code == 0,
            inside,
        }))
    }

    /// Leaves it a little room where that can be done, and writes more than its disk holds.
    async fn filled(&self) -> Result<Finding, Error> {
        // Not what Incus says it uses: that is counted later, and a quota below what is there can
        // neither be set nor taken back.
        let counted = self.run("sync; du -xsk / | cut -f 1").await?;
        let Ok(used) = counted.text.trim().parse::<u64>() else {
            let found = format!(
                "what is in it could not be counted: {}",
                counted.text.trim()
            );
            return Ok(Finding::unknown("quota", found));
        };
        let state = self.incus.instance_state(self.name).await?;
        let told = state.disk.get("root").map_or(0, |disk| disk.usage);
        let fill = self.limit.fill(told, used.saturating_mul(1 << 10));
        let space = self.engine.space().await?;
        let free = space.total.saturating_sub(space.used);
        if !self.limit.fits(fill, free) {
            // It would be the pool that refuses.
            let (free, tried) = (free >> 20, fill.tried >> 20);
            let found = format!(
                "the pool has {free} MiB left, and trying what one container may write takes {tried}"
            );
            return Ok(Finding::unknown("quota", found));
        }
        self.set_size(fill.size).await?;
        let script = format!(
            "{}; code=$?\nrm -f /root/probe; sync; exit $code",
            self.limit.command(fill)
        );
        let ran = self.run_within(&script, FILL).await;
        // One that is full may not let itself be removed.
        self.set_size(self.limit.disk()).await?;
        Ok(outcome::quota(&ran?, fill, &fill::look(self.pool)))
    }

    /// Sets the size of its disk, where that holds at once.
    async fn set_size(&self, size: u64) -> Result<(), Error> {
        match self.limit {
            Limit::Quota => self.resize(size).await,
            Limit::FileSystem { .. } => Ok(()),
        }
    }

    async fn resize(&self, size: u64) -> Result<(), Error> {
        let mut root = engine::instance(&self.engine.installation, self.record)
            .devices
            .remove("root")
            .unwrap_or_default();
        root.insert("size".into(), size.to_string());
        let patch = InstancePatch {
            devices: [("root".to_owned(), root)].into(),
            ..InstancePatch::default()
        };
        self.incus.patch_instance(self.name, &patch).await
    }
}

/// The host and port of a URL that may become part of a command.
fn place(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (host, if scheme == "https" { 443 } else { 80 }),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (!host.is_empty() && host.chars().all(good)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_nothing_that_a_container_or_a_standby_has() {
        let here = Installation {
            id: "i".into(),
            name: "ct".into(),
            pool: "ct".into(),
            gateway: Ipv4Addr::new(10, 90, 0, 1),
            prefix: 16,
            uid_first: 1_000_000,
            uid_ranges: 3,
            default_image: "local:debian/12".parse().unwrap(),
            ssh_port: 22,
            simulated: false,
        };
        let at = |n| Ipv4Addr::new(10, 90, 0, n);
        let uids = |n| 1_000_000 + n * UIDS;
        assert_eq!(free(&here, &[], &[]), Some((at(3), uids(2))));
        // What is not ours may have neither.
        let taken = [None, Some(uids(2))];
        assert_eq!(
            free(&here, &[Some(at(3)), None], &taken),
            Some((at(4), uids(1)))
        );
        let all = [0, 1, 2].map(|n| Some(uids(n)));
        assert_eq!(free(&here, &[], &all), None);
        // The tenth is a user's already.
        let all: Vec<_> = (3..10).map(|n| Some(at(n))).collect();
        assert_eq!(free(&here, &all, &[]), None);
    }

    #[test]
    fn a_place_is_a_host_and_a_port_and_no_shell() {
        assert_eq!(
            place("http://deb.debian.org/debian"),
            Some(("deb.debian.org".into(), 80))
        );
        assert_eq!(
            place("https://m.example:8443/x"),
            Some(("m.example".into(), 8443))
        );
        for bad in [
            "",
            "deb.debian.org",
            "http://$(reboot)/",
            "http://a;b/",
            "http:///x",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
