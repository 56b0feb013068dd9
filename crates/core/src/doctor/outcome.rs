//! What the probes' outcomes mean. Pure: the container that was probed is gone when this judges.

use std::time::Duration;

use super::{Finding, fill::Fill};

/// A clone that copies on write takes a tenth of this on a slow disk.
const CLONE: Duration = Duration::from_secs(2);

/// What a script inside ended with and printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: i64,
    pub(super) text: String,
}

impl Ran {
    /// The last lines, which say why.
    fn last(&self) -> String {
        let lines: Vec<&str> = self
            .text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let from = lines.len().saturating_sub(3);
        lines.get(from..).unwrap_or_default().join("; ")
    }
}

pub(super) fn clone(took: Duration, booted: Option<Duration>) -> Finding {
    let seconds = took.as_secs_f64();
    let boot = booted.map_or_else(String::new, |boot| {
        format!(
            ", and a login {:.1} s after it was started",
            boot.as_secs_f64()
        )
    });
    let found = format!("a container was made of the prepared image in {seconds:.2} s{boot}");
    if took < CLONE {
        Finding::ok("clone", found)
    } else {
        Finding::warning(
            "clone",
            format!("{found}: storage that copies on write takes less than a second; this one copies, or its disk is busy"),
        )
        .run("iostat -x 5 2  # or look at the check `storage`")
    }
}

/// A disk was written past its end; `look` shows why that may have gone in.
pub(super) fn quota(ran: &Ran, fill: Fill, look: &str) -> Finding {
    let (size, tried) = (fill.size >> 20, fill.tried >> 20);
    let full = ["No space left on device", "Disk quota exceeded"]
        .into_iter()
        .find(|text| ran.text.contains(text));
    match (ran.code, full) {
        (0, _) => Finding::problem(
            "quota",
            format!(
                "{tried} MiB were written into a container whose disk had {size} MiB in all: one \
                 user can fill the disk for everybody"
            ),
        )
        .run(look),
        (_, Some(full)) => Finding::ok(
            "quota",
            format!("writing {tried} MiB into a disk of {size} MiB was refused: {full}"),
        ),
        (code, None) => Finding::unknown(
            "quota",
            format!("the write ended with {code}: {}", ran.last()),
        ),
    }
}

/// `errno` of the call by which a tenant would leave its quota; 0 where it succeeded.
pub(super) fn escape(ran: &Ran) -> Finding {
    match ran.text.trim() {
        "1" => Finding::ok(
            "quota-escape",
            "the call that makes a btrfs subvolume is denied inside",
        ),
        "25" | "22" => Finding::ok(
            "quota-escape",
            "this storage has no subvolumes to escape into",
        ),
        "0" => Finding::problem(
            "quota-escape",
            "a user inside can make a btrfs subvolume, which has no quota: seccomp does not deny \
             the call here",
        )
        .run("grep -c seccomp /proc/self/status  # this kernel needs CONFIG_SECCOMP_FILTER"),
        other => Finding::unknown("quota-escape", format!("the call ended with: {other}")),
    }
}

/// What became of reaching a place outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// `host:port`, as the image's package sources name it.
    pub(super) place: String,
    /// From this host.
    pub(super) here: Result<(), String>,
    /// Its name resolved inside.
    pub(super) resolved: bool,
    /// A connection from inside.
    pub(super) inside: bool,
}

pub(super) fn network(reached: Option<&Reached>, bridge: &str) -> Finding {
    let Some(Reached {
        place,
        here,
        resolved,
        inside,
    }) = reached
    else {
        return Finding::unknown("network", "the image names no package source to reach");
    };
    match (here, resolved, inside) {
        (_, true, true) => Finding::ok(
            "network",
            format!("from inside, {place} resolves and can be reached"),
        ),
        (Err(why), _, _) => Finding::unknown(
            "network",
            format!("{place} cannot be reached from this host either: {why}"),
        ),
        (Ok(()), false, _) => Finding::problem(
            "network",
            format!(
                "this host reaches {place}, and inside a container its name does not resolve: see \
                 the checks `name-server` and `bridge`"
            ),
        )
        .run(format!(
            "nft list ruleset | grep -nE 'hook input|{bridge}|dport 53'"
        )),
        (Ok(()), true, false) => Finding::problem(
            "network",
            format!(
                "this host reaches {place}, and a container does not, although the name resolves: \
                 see the check `forward`"
            ),
        )
        .run(format!(
            "nft list ruleset | grep -nE 'hook forward|{bridge}|DOCKER-USER|ufw'"
        )),
    }
}

pub(super) fn docker(ran: &Ran) -> Finding {
    let version = |word: &str| {
        ran.text
            .lines()
            .find(|line| line.to_lowercase().starts_with(word))
            .unwrap_or(word)
            .to_owned()
    };
    let versions = format!("{}, {}", version("docker version"), version("runc version"));
    if ran.code == 0 && ran.text.contains("hello from a container in a container") {
        return Finding::ok("docker", format!("`docker run` works inside ({versions})"));
    }
    let incus_2623 = ran.text.contains("ip_unprivileged_port_start")
        || (ran.text.contains("open sysctl") && ran.text.contains("permission denied"));
    if incus_2623 {
        return Finding::problem(
            "docker",
            format!(
                "`docker run` fails inside ({versions}): AppArmor takes runc's way to /proc/sys for \
                 one to /sys, since runc 1.3.3 (CVE-2025-52881, lxc/incus#2623): {}. Incus 6.19, \
                 7.0 and newer packages of 6.0 have rules that let it",
                ran.last()
            ),
        )
        .run("apt-get update && apt-get install --only-upgrade 'incus*' 'lxc*' 'liblxc*'")
        .run("systemctl restart incus  # then stop and start each container");
    }
    Finding::problem(
        "docker",
        format!("Docker does not work inside ({versions}): {}", ran.last()),
    )
    .run("containarium init  # prepares the image anew where it is missing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn ran(code: i64, text: &str) -> Ran {
        Ran {
            code,
            text: text.into(),
        }
    }

    #[test]
    fn a_copy_is_told_by_its_time() {
        let quick = clone(Duration::from_millis(80), Some(Duration::from_millis(700)));
        assert_eq!(quick.verdict, Verdict::Ok);
        assert!(
            quick.found.contains("in 0.08 s, and a login 0.7 s"),
            "{}",
            quick.found
        );
        assert_eq!(
            clone(Duration::from_secs(5), None).verdict,
            Verdict::Warning
        );
    }

    #[test]
    fn a_write_past_the_quota_must_be_refused() {
        let fill = Fill {
            size: 1 << 30,
            tried: 2 << 30,
        };
        for (ended, verdict) in [
            (
                ran(1, "dd: error writing '/root/probe': Disk quota exceeded\n"),
                Verdict::Ok,
            ),
            (
                ran(1, "fallocate: fallocate failed: No space left on device\n"),
                Verdict::Ok,
            ),
            (ran(0, ""), Verdict::Problem),
            (ran(127, "dd: not found"), Verdict::Unknown),
        ] {
            let finding = quota(&ended, fill, "zfs get quota ct");
            assert_eq!(finding.verdict, verdict, "{ended:?}");
            let look = verdict == Verdict::Problem;
            let look: &[&str] = if look { &["zfs get quota ct"] } else { &[] };
            assert_eq!(finding.commands, look, "{ended:?}");
        }
    }

    #[test]
    fn the_way_round_the_quota_must_be_denied() {
        assert_eq!(escape(&ran(0, "1\n")).verdict, Verdict::Ok);
        assert_eq!(escape(&ran(0, "25\n")).verdict, Verdict::Ok);
        assert_eq!(escape(&ran(0, "0\n")).verdict, Verdict::Problem);
        assert_eq!(
            escape(&ran(127, "perl: not found\n")).verdict,
            Verdict::Unknown
        );
    }

    #[test]
    fn nobody_is_blamed_for_a_place_that_the_host_does_not_reach_either() {
        let reached = |here: Result<(), &str>, resolved, inside| Reached {
            place: "deb.debian.org:80".into(),
            here: here.map_err(str::to_owned),
            resolved,
            inside,
        };
        let verdict = |reached: &Reached| network(Some(reached), "ct").verdict;
        assert_eq!(verdict(&reached(Ok(()), true, true)), Verdict::Ok);
        assert_eq!(verdict(&reached(Ok(()), true, false)), Verdict::Problem);
        assert_eq!(verdict(&reached(Ok(()), false, false)), Verdict::Problem);
        assert_eq!(
            verdict(&reached(Err("timed out"), false, false)),
            Verdict::Unknown
        );
        assert_eq!(network(None, "ct").verdict, Verdict::Unknown);
    }

    #[test]
    fn runc_against_apparmor_is_told_by_its_name() {
        let text = "runc version 1.3.3\nDocker version 28.5.2, build ecc6942\n\
             docker: Error response from daemon: failed to create task for container: failed to \
             create shim task: OCI runtime create failed: runc create failed: unable to start \
             container process: error during container init: open sysctl \
             net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied: unknown\n";
        let finding = docker(&ran(126, text));
        assert_eq!(finding.verdict, Verdict::Problem);
        assert!(
            finding.found.contains("lxc/incus#2623"),
            "{}",
            finding.found
        );
        assert!(
            finding.found.contains("runc version 1.3.3"),
            "{}",
            finding.found
        );
        let works = ran(
            0,
            "runc version 1.1.5\nDocker version 20.10.24\nhello from a container in a container\n",
        );
        assert_eq!(docker(&works).verdict, Verdict::Ok);
        let other = docker(&ran(1, "Cannot connect to the Docker daemon"));
        assert!(other.found.contains("Cannot connect"), "{}", other.found);
    }
}
