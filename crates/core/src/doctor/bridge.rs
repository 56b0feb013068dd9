//! The bridge: there, up, with its name server, and the host passes packets on.

use std::net::IpAddr;

use super::{Finding, Repair, line_of, listener};
use crate::Installation;

const CHECK: &str = "bridge";

pub(super) fn examine(installation: Option<&Installation>) -> Option<Finding> {
    let here = installation?;
    let link = std::path::Path::new("/sys/class/net").join(&here.name);
    let gateway = IpAddr::from(here.gateway);
    let dns = listener::udp()
        .iter()
        .any(|l| l.port == 53 && l.address == gateway);
    let forward = line_of("/proc/sys/net/ipv4/ip_forward").ok();
    Some(judge(here, link.exists(), dns, forward.as_deref()))
}

fn judge(here: &Installation, link: bool, dns: bool, forward: Option<&str>) -> Finding {
    let Installation { name, gateway, .. } = here;
    if !link {
        return Finding::problem(
            CHECK,
            format!("there is no link `{name}`: containers have no network. Incus makes it when it starts"),
        )
        .run("systemctl restart incus  # containers keep running");
    }
    if forward == Some("0") {
        return Finding::problem(
            CHECK,
            "net.ipv4.ip_forward = 0: nothing from containers leaves this host",
        )
        .repair(Repair::Sysctl {
            key: "net.ipv4.ip_forward",
            value: 1,
        });
    }
    if !dns {
        return Finding::problem(
            CHECK,
            format!("nobody answers names at {gateway}:53 (Incus's dnsmasq for `{name}`): containers resolve nothing"),
        )
        .run("systemctl restart incus  # containers keep running");
    }
    Finding::ok(
        CHECK,
        format!("`{name}` is up, and resolves names at {gateway}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_bridge_needs_its_link_its_names_and_forwarding() {
        let here = crate::doctor::tests::installation();
        assert_eq!(judge(&here, true, true, Some("1")).verdict, Verdict::Ok);
        assert_eq!(
            judge(&here, false, true, Some("1")).verdict,
            Verdict::Problem
        );
        assert_eq!(
            judge(&here, true, false, Some("1")).verdict,
            Verdict::Problem
        );
        let off = judge(&here, true, true, Some("0"));
        assert_eq!(off.commands[0], "sysctl -w net.ipv4.ip_forward=1");
    }
}
