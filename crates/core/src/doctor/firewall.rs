//! Whether this host's firewall lets containers out and lets them ask for names. Docker, ufw and
//! firewalld drop by policy whatever they do not know, and Incus's own `accept` does not help against
//! that: every chain at a hook must accept.
//!
//! The rules are read ([`super::nft`], [`super::iptables`]) into chains ([`super::chain`]), and three
//! packets are walked through them.

use std::net::Ipv4Addr;

use super::{
    Finding,
    chain::{Chain, Hook, Packet, walk},
    command, iptables, nft,
};
use crate::{Installation, setup::routes};

const OUT: &str = "forward";
const NAMES: &str = "name-server";

pub(super) async fn examine(installation: Option<&Installation>) -> Vec<Finding> {
    let Some(here) = installation else {
        return Vec::new();
    };
    let uplink = routes::uplink().unwrap_or_else(|| "uplink".into());
    match rules().await {
        Ok(chains) => judge(here, &uplink, &chains),
        Err(why) => vec![
            Finding::unknown(OUT, format!("{why}; the probe `network` tries it")),
            Finding::unknown(NAMES, format!("{why}; the probe `network` tries it")),
        ],
    }
}

/// Every rule there is, of nftables and of both kinds of iptables.
async fn rules() -> Result<Vec<Chain>, String> {
    let json = command::ask("nft", &["-j", "list", "ruleset"]).await?;
    let ruleset = nft::read(&json)?;
    let mut chains = ruleset.chains;
    if ruleset.opaque.iter().any(|table| table == "ip filter") {
        // What iptables wrote into nftables, only iptables can read back whole.
        let mut saved = command::ask("iptables-nft-save", &["-t", "filter"]).await;
        if saved.is_err() {
            saved = command::ask("iptables-save", &["-t", "filter"]).await;
        }
        if let Ok(text) = saved {
            chains.retain(|chain| chain.table != "ip filter");
            chains.extend(iptables::read(&text, "ip filter"));
        }
    }
    let legacy = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") {
        let text = command::ask("iptables-legacy-save", &["-t", "filter"]).await?;
        chains.extend(iptables::read(&text, "iptables filter"));
    }
    Ok(chains)
}

fn judge(here: &Installation, uplink: &str, chains: &[Chain]) -> Vec<Finding> {
    let bridge = here.name.as_str();
    let guest = Ipv4Addr::from(u32::from(here.gateway) + 10);
    // Somebody on the Internet (RFC 5737).
    let world = Ipv4Addr::new(198, 51, 100, 1);
    let out = Packet {
        hook: Hook::Forward,
        from: bridge,
        to: uplink,
        source: guest,
        destination: world,
        protocol: "tcp",
        port: 443,
        state: "new",
    };
    let back = Packet {
        from: uplink,
        to: bridge,
        source: world,
        destination: guest,
        port: 40_000,
        state: "established",
        ..out
    };
    let names = Packet {
        hook: Hook::Input,
        to: "",
        destination: here.gateway,
        protocol: "udp",
        port: 53,
        ..out
    };
    let ways = [
        (OUT, "new connections of containers to the world", &out),
        (OUT, "answers to containers", &back),
        (NAMES, "containers' questions for names", &names),
    ];
    let mut findings: Vec<Finding> = Vec::new();
    for (check, what, packet) in ways {
        let finding = through(chains, packet, check, what, bridge);
        match findings.iter_mut().find(|known| known.check == check) {
            Some(known) if known.verdict < finding.verdict => *known = finding,
            Some(_) => {}
            None => findings.push(finding),
        }
    }
    findings
}

fn through(
    chains: &[Chain],
    packet: &Packet<'_>,
    check: &'static str,
    what: &str,
    bridge: &str,
) -> Finding {
    let mut perhaps = None;
    let mut hooks = 0;
    for chain in chains
        .iter()
        .filter(|chain| chain.hook == Some(packet.hook))
    {
        hooks += 1;
        let fate = walk(chains, chain, packet, 0);
        // Who returns from a chain with a hook meets its policy.
        let policy = format!("the policy of {} {}", chain.table, chain.name);
        let dropped = fate
            .dropped
            .or_else(|| (fate.returned && chain.drops).then_some(policy));
        let passes = fate.accepted || (fate.returned && !chain.drops);
        match (dropped, passes) {
            (Some(by), false) => {
                return fixes(
                    Finding::problem(check, format!("{what} are dropped by {by}")),
                    chains,
                    chain,
                    packet.hook,
                    bridge,
                );
            }
            (Some(by), true) => perhaps = perhaps.or(Some(by)),
            (None, _) => {}
        }
    }
    match perhaps {
        Some(by) => Finding::unknown(
            check,
            format!(
                "{what} may be dropped by {by}: that hangs on rules which cannot be judged here; \
                 the probe `network` tries it"
            ),
        ),
        None => Finding::ok(check, format!("no rule of {hooks} chains drops {what}")),
    }
}

/// The commands of whoever made the rules.
fn fixes(finding: Finding, chains: &[Chain], by: &Chain, hook: Hook, bridge: &str) -> Finding {
    let has = |name: &str| {
        chains
            .iter()
            .any(|chain| chain.table == by.table && chain.name.starts_with(name))
    };
    let firewalld = by.table.contains("firewalld");
    match hook {
        Hook::Forward if has("ufw-") => finding
            .run(format!("ufw route allow in on {bridge}"))
            .run(format!("ufw route allow out on {bridge}")),
        Hook::Input if has("ufw-") => {
            finding.run(format!("ufw allow in on {bridge} to any port 53"))
        }
        _ if firewalld => finding
            .run(format!("firewall-cmd --permanent --zone=trusted --change-interface={bridge}"))
            .run("firewall-cmd --reload"),
        Hook::Forward if has("DOCKER-USER") => finding
            .run(format!("iptables -I DOCKER-USER -i {bridge} -j ACCEPT"))
            .run(format!(
                "iptables -I DOCKER-USER -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT  \
                 # both are lost at a reboot; for good: \"ip-forward-no-drop\": true in /etc/docker/daemon.json"
            )),
        _ if by.table == "iptables filter" || by.name.chars().all(|c| c.is_ascii_uppercase()) => {
            finding.run(match hook {
                Hook::Forward => format!("iptables -I {} -i {bridge} -j ACCEPT && iptables -I {} -o {bridge} -j ACCEPT", by.name, by.name),
                Hook::Input => format!("iptables -I {} -i {bridge} -p udp --dport 53 -j ACCEPT", by.name),
            })
        }
        Hook::Forward => finding
            .run(format!("nft insert rule {} {} iifname {bridge} accept", by.table, by.name))
            .run(format!("nft insert rule {} {} oifname {bridge} accept", by.table, by.name)),
        Hook::Input => finding.run(format!(
            "nft insert rule {} {} iifname {bridge} udp dport 53 accept",
            by.table, by.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::doctor::chain::{Rule, Then};

    /// Rules as the programs themselves wrote them, in a container of ours.
    const DOCKER: &str = include_str!("firewall/docker.json");
    const UFW: &str = include_str!("firewall/ufw.json");
    const UFW_SAVED: &str = include_str!("firewall/ufw.iptables");
    const INCUS: &str = include_str!("firewall/incus.json");

    fn judged(chains: &[Chain]) -> Vec<(&'static str, Verdict, String)> {
        let here = crate::doctor::tests::installation();
        let findings = judge(&here, "eth0", chains);
        findings
            .into_iter()
            .map(|f| (f.check, f.verdict, f.found + "\n" + &f.commands.join("\n")))
            .collect()
    }

    fn nft(texts: &[&str]) -> Vec<Chain> {
        texts
            .iter()
            .flat_map(|text| nft::read(text).unwrap().chains)
            .collect()
    }

    fn verdicts(chains: &[Chain]) -> [Verdict; 2] {
        let all = judged(chains);
        [all[0].1, all[1].1]
    }

    #[test]
    fn incuss_own_rules_let_containers_out() {
        assert_eq!(verdicts(&nft(&[INCUS])), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdicts(&[]), [Verdict::Ok, Verdict::Ok]);
    }

    #[test]
    fn dockers_policy_drops_although_incus_accepts() {
        // Docker sets this policy only where it turned forwarding on itself: before Incus did.
        let dropping = DOCKER.replace(
            r#""hook": "forward", "prio": 0, "policy": "accept""#,
            r#""hook": "forward", "prio": 0, "policy": "drop""#,
        );
        assert_eq!(verdicts(&nft(&[INCUS, DOCKER])), [Verdict::Ok, Verdict::Ok]);
        let all = judged(&nft(&[INCUS, &dropping]));
        assert_eq!(
            (all[0].0, all[0].1, all[1].1),
            (OUT, Verdict::Problem, Verdict::Ok)
        );
        assert!(
            all[0].2.contains("the policy of ip filter FORWARD"),
            "{}",
            all[0].2
        );
        assert!(
            all[0].2.contains("iptables -I DOCKER-USER -i ct -j ACCEPT"),
            "{}",
            all[0].2
        );
    }

    #[test]
    fn the_rules_that_it_proposes_for_docker_are_enough() {
        let saved = "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n\
             -A FORWARD -j DOCKER-USER\n\
             -A DOCKER-USER -o ct -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A DOCKER-USER -i ct -j ACCEPT\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
        assert_eq!(
            verdicts(&iptables::read(saved, "ip filter")),
            [Verdict::Ok, Verdict::Ok]
        );
    }

    #[test]
    fn ufw_drops_both_ways_and_names_too() {
        let all = judged(&iptables::read(UFW_SAVED, "ip filter"));
        assert_eq!(
            (all[0].1, all[1].1),
            (Verdict::Problem, Verdict::Problem),
            "{all:?}"
        );
        assert!(
            all[0].2.contains("ufw route allow in on ct"),
            "{}",
            all[0].2
        );
        assert!(
            all[1].2.contains("ufw allow in on ct to any port 53"),
            "{}",
            all[1].2
        );
    }

    #[test]
    fn what_nft_cannot_show_of_ufw_is_not_taken_for_good() {
        let ruleset = nft::read(UFW).unwrap();
        assert!(ruleset.opaque.contains(&"ip filter".to_owned()));
        let all = judged(&ruleset.chains);
        assert_ne!(all[0].1, Verdict::Ok, "{all:?}");
        assert_ne!(all[1].1, Verdict::Ok, "{all:?}");
    }

    #[test]
    fn the_rules_that_it_proposes_for_ufw_are_enough() {
        // What ufw makes of the three commands.
        let allowed = UFW_SAVED.replace(
            "COMMIT",
            "-A ufw-user-forward -i ct -j ACCEPT\n-A ufw-user-forward -o ct -j ACCEPT\n\
             -A ufw-user-input -i ct -p tcp -m tcp --dport 53 -j ACCEPT\n\
             -A ufw-user-input -i ct -p udp -m udp --dport 53 -j ACCEPT\nCOMMIT",
        );
        assert_eq!(
            verdicts(&iptables::read(&allowed, "ip filter")),
            [Verdict::Ok, Verdict::Ok]
        );
    }

    #[test]
    fn a_rule_that_drops_the_bridge_alone_is_found() {
        let rule = r#"{"nftables":[
            {"chain":{"family":"inet","table":"mine","name":"f","type":"filter","hook":"forward","prio":0,"policy":"accept"}},
            {"rule":{"family":"inet","table":"mine","chain":"f","expr":[
              {"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"ct"}},{"drop":null}]}}]}"#;
        let all = judged(&nft(&[INCUS, rule]));
        assert_eq!((all[0].1, all[1].1), (Verdict::Problem, Verdict::Ok));
        assert!(all[0].2.contains("a rule of inet mine f"), "{}", all[0].2);
        assert!(
            all[0]
                .2
                .contains("nft insert rule inet mine f iifname ct accept"),
            "{}",
            all[0].2
        );
    }

    #[test]
    fn chains_that_call_each_other_in_a_circle_end() {
        let chain = |name: &str, to: &str| Chain {
            table: "t".into(),
            name: name.into(),
            hook: Some(Hook::Forward),
            drops: false,
            rules: vec![Rule {
                asks: vec![],
                then: Then::Jump(to.into()),
            }],
        };
        assert_eq!(
            verdicts(&[chain("a", "b"), chain("b", "a")])[0],
            Verdict::Ok
        );
    }
}
