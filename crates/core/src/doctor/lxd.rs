//! Others who do the same here: LXD, with which Incus shares a past and an appetite for the same
//! network; and Docker, whose firewall rules the check `forward` reads.

use std::path::Path;

use super::{Finding, listener};

const CHECK: &str = "neighbours";

pub(super) fn examine() -> Finding {
    let at = |path: &&str| Path::new(path).exists();
    let lxd: Vec<&str> = [
        "/var/snap/lxd/common/lxd/unix.socket",
        "/var/lib/lxd/unix.socket",
        "/snap/bin/lxd",
        "/sys/class/net/lxdbr0",
    ]
    .into_iter()
    .filter(at)
    .collect();
    let docker = at(&"/run/docker.sock") || at(&"/sys/class/net/docker0");
    let everywhere = listener::udp()
        .into_iter()
        .find(|l| l.port == 53 && l.address.is_unspecified());
    let dns = everywhere.map(|l| {
        listener::holder(&l).map_or_else(
            || "a process that this user cannot see".into(),
            |process| format!("{} (pid {})", process.command, process.pid),
        )
    });
    judge(&lxd, docker, dns.as_deref())
}

fn judge(lxd: &[&str], docker: bool, dns: Option<&str>) -> Finding {
    if let Some(who) = dns {
        return Finding::problem(
            CHECK,
            format!(
                "{who} has port 53 on every address: Incus's own name server cannot have it on \
                 the bridge, and containers resolve no names"
            ),
        )
        .run("ss -lunp 'sport = :53'")
        .run("echo bind-interfaces >> /etc/dnsmasq.conf && systemctl restart dnsmasq  # if it is dnsmasq");
    }
    let with_docker = if docker {
        "; Docker runs here, too: see the check `forward`"
    } else {
        ""
    };
    if lxd.is_empty() {
        return Finding::ok(CHECK, format!("no LXD{with_docker}"));
    }
    Finding::warning(
        CHECK,
        format!(
            "LXD is here ({}): not used by us, and both give out user ids and subnets without \
             asking each other{with_docker}",
            lxd.join(", ")
        ),
    )
    .run("lxd-to-incus  # takes its containers over; or: snap remove lxd")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn lxd_is_a_warning_and_a_greedy_name_server_a_problem() {
        assert_eq!(judge(&[], false, None).verdict, Verdict::Ok);
        assert!(judge(&[], true, None).found.contains("Docker"));
        let lxd = judge(&["/snap/bin/lxd", "/sys/class/net/lxdbr0"], true, None);
        assert_eq!(lxd.verdict, Verdict::Warning);
        assert!(lxd.found.contains("lxdbr0"), "{}", lxd.found);
        assert_eq!(
            judge(&[], false, Some("dnsmasq (pid 7)")).verdict,
            Verdict::Problem
        );
    }
}
