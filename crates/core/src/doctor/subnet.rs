//! The containers' addresses against the host's routes: a VPN that came after `init` may want the same.

use super::Finding;
use crate::{
    Installation,
    setup::{
        routes::{self, Route},
        subnet::{self, Subnet},
    },
};

const CHECK: &str = "subnet";

pub(super) async fn examine(installation: Option<&Installation>) -> Finding {
    match routes::of_this_host().await {
        Ok(routes) => judge(installation, &routes),
        Err(why) => Finding::unknown(CHECK, format!("this host's routes cannot be read: {why}")),
    }
}

fn judge(installation: Option<&Installation>, routes: &[Route]) -> Finding {
    let Some(here) = installation else {
        let used: Vec<Subnet> = routes.iter().map(|route| route.to).collect();
        return match subnet::free(&used) {
            Some(free) => Finding::ok(CHECK, format!("`containarium init` would take {free}")),
            None => Finding::problem(
                CHECK,
                "no /16 from 10.64.0.0 to 10.255.0.0 is free of this host's routes",
            )
            .run("containarium init --subnet 172.29.0.0/16  # or another that is free"),
        };
    };
    let Some(ours) = Subnet::parse(&format!("{}/{}", here.gateway, here.prefix)) else {
        return Finding::unknown(CHECK, "the installation has no subnet");
    };
    let clash = |route: &&Route| route.to.overlaps(ours) && route.device != here.name;
    let Some(route) = routes.iter().find(clash) else {
        let found = format!(
            "{ours} is the containers' alone, of {} routes",
            routes.len()
        );
        return Finding::ok(CHECK, found);
    };
    let Route { to, device } = route;
    let via = if device.is_empty() {
        "no link".to_owned()
    } else {
        format!("`{device}`")
    };
    let finding = Finding::problem(
        CHECK,
        format!(
            "the route {to} via {via} is in the containers' {ours}: what is meant for one of them \
             goes there, or the other way round. It came after `init`; a VPN's is changed at the \
             VPN"
        ),
    )
    .run("ip -4 route show table all");
    if device.is_empty() {
        finding
    } else {
        finding.run(format!(
            "ip route del {to} dev {device}  # until it comes back"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn routes(json: &str) -> Vec<Route> {
        routes::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_vpns_route_inside_is_found_and_our_own_are_not() {
        let here = crate::doctor::tests::installation();
        let ours =
            r#"{"dst":"10.64.0.0/16","dev":"ct"},{"dst":"10.64.0.1","dev":"ct","table":"local"}"#;
        let fine = judge(
            Some(&here),
            &routes(&format!(
                r#"[{ours},{{"dst":"192.0.2.0/24","dev":"eth0"}}]"#
            )),
        );
        assert_eq!(fine.verdict, Verdict::Ok, "{}", fine.found);
        let vpn = format!(r#"[{ours},{{"dst":"10.64.7.0/24","dev":"wg0","table":"51820"}}]"#);
        let clash = judge(Some(&here), &routes(&vpn));
        assert_eq!(clash.verdict, Verdict::Problem);
        assert!(
            clash.found.contains("10.64.7.0/24 via `wg0`"),
            "{}",
            clash.found
        );
    }

    #[test]
    fn before_init_it_says_which_would_be_taken() {
        let finding = judge(None, &routes(r#"[{"dst":"10.64.0.0/16","dev":"wg0"}]"#));
        assert!(finding.found.contains("10.65.0.0/16"), "{}", finding.found);
        let all = judge(None, &routes(r#"[{"dst":"10.0.0.0/8","dev":"tun0"}]"#));
        assert_eq!(all.verdict, Verdict::Problem);
    }
}
