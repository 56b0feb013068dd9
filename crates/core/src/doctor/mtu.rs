//! The size of packets: a bridge that sends larger ones than the uplink takes makes downloads hang
//! wherever somebody drops the messages that would say so.

use std::path::Path;

use super::{Finding, line_of};
use crate::Installation;

const CHECK: &str = "mtu";

pub(super) fn examine(installation: Option<&Installation>) -> Option<Finding> {
    let here = installation?;
    let mtu = |link: &str| line_of(Path::new("/sys/class/net").join(link).join("mtu"));
    let Some(uplink) = uplink() else {
        return Some(Finding::unknown(CHECK, "this host has no default route"));
    };
    Some(match (mtu(&here.name), mtu(&uplink)) {
        (Ok(bridge), Ok(up)) => match (bridge.parse(), up.parse()) {
            (Ok(bridge), Ok(up)) => judge(&here.name, bridge, &uplink, up),
            (_, _) => Finding::unknown(CHECK, format!("`{bridge}` and `{up}` are no numbers")),
        },
        (Err(why), _) | (_, Err(why)) => Finding::unknown(CHECK, why),
    })
}

/// The link of the default route.
pub(super) fn uplink() -> Option<String> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    default_link(&routes)
}

fn default_link(routes: &str) -> Option<String> {
    routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (*fields.get(1)? == "00000000" && *fields.get(7)? == "00000000")
            .then(|| fields.first().map(|link| (*link).to_owned()))?
    })
}

fn judge(bridge: &str, bridge_mtu: u32, uplink: &str, uplink_mtu: u32) -> Finding {
    if bridge_mtu <= uplink_mtu {
        return Finding::ok(
            CHECK,
            format!("{bridge} {bridge_mtu}, {uplink} {uplink_mtu}"),
        );
    }
    Finding::warning(
        CHECK,
        format!(
            "{bridge} sends packets of {bridge_mtu} bytes and {uplink} takes {uplink_mtu}: \
             downloads in containers may hang"
        ),
    )
    .run(format!(
        "incus network set {bridge} bridge.mtu={uplink_mtu}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_uplink_is_told_with_its_size() {
        assert!(judge("ct", 1500, "eth0", 1500).commands.is_empty());
        let narrow = judge("ct", 1500, "wg0", 1420);
        assert_eq!(narrow.commands, ["incus network set ct bridge.mtu=1420"]);
    }

    #[test]
    fn the_uplink_is_the_default_routes() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             ct\t0000400A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(default_link(routes).as_deref(), Some("eth0"));
        assert_eq!(default_link("Iface\n"), None);
    }
}
