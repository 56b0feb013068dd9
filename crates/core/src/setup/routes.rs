//! Where the host sends packets: every IPv4 route of every table, because VPNs keep theirs in tables
//! of their own. Not how to change one.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::subnet::Subnet;

/// A network that the host reaches in a way of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// What is reached.
    pub(crate) to: Subnet,
    /// Through which link.
    pub(crate) device: String,
}

/// Shorter prefixes are a default route in disguise: VPNs take over the Internet with 0.0.0.0/1.
const LEAST_PREFIX: u8 = 4;

/// The host's routes; an error says why they cannot be known.
pub(crate) async fn of_this_host() -> Result<Vec<Route>, String> {
    let asked = Command::new("ip")
        .args(["-j", "-4", "route", "show", "table", "all"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    if let Ok(answer) = asked
        && answer.status.success()
        && let Some(routes) = read(&answer.stdout)
    {
        return Ok(routes);
    }
    // Without iproute2 the main table is better than nothing.
    std::fs::read_to_string("/proc/net/route")
        .map(|text| read_proc(&text))
        .map_err(|e| format!("/proc/net/route: {e}"))
}

/// The link of the default route.
pub(crate) fn uplink() -> Option<String> {
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

/// The largest packet that a link takes; `None` where there is no such link.
pub(crate) fn mtu(link: &str) -> Option<u32> {
    let file = std::path::Path::new("/sys/class/net")
        .join(link)
        .join("mtu");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[derive(Deserialize)]
struct Line {
    dst: String,
    #[serde(default)]
    dev: String,
}

/// Reads what `ip -j -4 route show table all` prints.
pub(crate) fn read(json: &[u8]) -> Option<Vec<Route>> {
    let lines: Vec<Line> = serde_json::from_slice(json).ok()?;
    let route = |line: Line| {
        let to = Subnet::parse(&line.dst)?;
        (to.prefix() >= LEAST_PREFIX).then_some(Route {
            to,
            device: line.dev,
        })
    };
    Some(lines.into_iter().filter_map(route).collect())
}

/// Reads the text of `/proc/net/route`.
fn read_proc(text: &str) -> Vec<Route> {
    let read = |line: &str| {
        let mut fields = line.split_whitespace();
        let device = fields.next()?.to_owned();
        // The numbers are in the host's byte order, which is the network's reversed here.
        let mut hex = |skip| {
            u32::from_str_radix(fields.nth(skip)?, 16)
                .ok()
                .map(u32::swap_bytes)
        };
        let (first, mask) = (hex(0)?, hex(5)?);
        let text = format!(
            "{}/{}",
            std::net::Ipv4Addr::from(first),
            mask.leading_ones()
        );
        let to = Subnet::parse(&text)?;
        (to.prefix() >= LEAST_PREFIX).then_some(Route { to, device })
    };
    text.lines().skip(1).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(to: &str, device: &str) -> Route {
        Route {
            to: Subnet::parse(to).unwrap(),
            device: device.into(),
        }
    }

    #[test]
    fn a_vpns_own_table_counts_and_its_default_route_does_not() {
        let json = br#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},
            {"dst":"0.0.0.0/1","dev":"tun0","flags":[]},
            {"dst":"192.0.2.0/24","dev":"eth0","protocol":"kernel","scope":"link","flags":[]},
            {"dst":"100.100.1.7","dev":"tailscale0","table":"52","flags":[]},
            {"dst":"10.64.0.0/16","dev":"wg0","table":"51820","scope":"link","flags":[]},
            {"type":"unreachable","dst":"10.9.0.0/24","metric":5,"flags":[]}]"#;
        let routes = read(json).unwrap();
        assert_eq!(
            routes,
            [
                route("192.0.2.0/24", "eth0"),
                route("100.100.1.7/32", "tailscale0"),
                route("10.64.0.0/16", "wg0"),
                route("10.9.0.0/24", ""),
            ]
        );
    }

    #[test]
    fn the_kernels_own_text_is_read_too() {
        let routes = read_proc(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             vpn0\t0000400A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n",
        );
        assert_eq!(
            routes,
            [route("192.0.2.0/24", "eth0"), route("10.64.0.0/16", "vpn0")]
        );
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
