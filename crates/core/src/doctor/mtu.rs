//! The size of packets: a bridge that sends larger ones than the uplink takes makes downloads hang
//! wherever somebody drops the messages that would say so.

use containarium_incus::Client;

use super::Finding;
use crate::{Installation, setup::routes};

const CHECK: &str = "mtu";

pub(super) async fn examine(
    incus: &Client,
    installation: Option<&Installation>,
) -> Option<Finding> {
    let here = installation?;
    let Some(uplink) = routes::uplink() else {
        return Some(Finding::unknown(CHECK, "this host has no default route"));
    };
    // Incus gives it to the containers' interfaces; the bridge itself stays as it was.
    let network = incus.network(&here.name).await.ok();
    let given = network.and_then(|network| network.config.get("bridge.mtu")?.parse().ok());
    let bridge = given.or_else(|| routes::mtu(&here.name));
    Some(match (bridge, routes::mtu(&uplink)) {
        (Some(bridge), Some(up)) => judge(&here.name, bridge, &uplink, up),
        (None, _) => Finding::unknown(CHECK, format!("there is no link `{}`", here.name)),
        (_, None) => Finding::unknown(CHECK, format!("there is no link `{uplink}`")),
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
            "containers on {bridge} send packets of {bridge_mtu} bytes and {uplink} takes {uplink_mtu}: \
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
}
