//! Chains of a firewall, whoever wrote them, and the walk of one packet through them. What a rule asks
//! and is not known here may be so or not: both ways are walked. Not what it means; that is
//! [`super::firewall`]'s.

use std::net::Ipv4Addr;

use crate::setup::subnet::Subnet;

/// How deep chains may call each other, so that a loop ends.
const DEPTH: usize = 32;

/// Where a chain is called by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Input,
    Forward,
}

/// One chain of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// `ip filter`.
    pub(super) table: String,
    pub(super) name: String,
    pub(super) hook: Option<Hook>,
    /// What happens at its end, if it has a hook.
    pub(super) drops: bool,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) asks: Vec<Ask>,
    pub(super) then: Then,
}

/// One condition of a rule. `not` turns it round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) not: bool,
    pub(super) of: About,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Names of links; `br*` or `br+` for all that begin so.
    From(Vec<String>),
    To(Vec<String>),
    Source(Vec<Subnet>),
    Destination(Vec<Subnet>),
    Protocol(Vec<String>),
    Port(Vec<(u16, u16)>),
    /// States of connections: `new`, `established`, …
    State(Vec<String>),
    /// Whom a packet is for: `LOCAL` is this host, `BROADCAST` all.
    Kind(Vec<String>),
    /// Something that is not known here.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// Counts, logs, marks.
    GoOn,
}

/// A packet, as far as rules ask.
pub(super) struct Packet<'a> {
    pub(super) hook: Hook,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) protocol: &'a str,
    pub(super) port: u16,
    pub(super) state: &'a str,
}

/// What may become of a packet in a chain; `dropped` says where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) accepted: bool,
    /// It may come back to the calling chain, or to the policy.
    pub(super) returned: bool,
    pub(super) dropped: Option<String>,
}

/// Walks a packet through a chain and those that it calls.
pub(super) fn walk(chains: &[Chain], chain: &Chain, packet: &Packet<'_>, depth: usize) -> Fate {
    let mut fate = Fate::default();
    for rule in &chain.rules {
        let Some(sure) = matches(rule, packet) else {
            continue;
        };
        let drop = || Some(format!("a rule of {} {}", chain.table, chain.name));
        let called = |name: &str| {
            let inner = chains
                .iter()
                .find(|other| other.table == chain.table && other.name == *name);
            match inner {
                Some(inner) if depth < DEPTH => walk(chains, inner, packet, depth + 1),
                Some(_) | None => Fate {
                    returned: true,
                    ..Fate::default()
                },
            }
        };
        // Whether what follows is reached.
        let on = match &rule.then {
            Then::GoOn => true,
            Then::Accept => {
                fate.accepted = true;
                !sure
            }
            Then::Drop => {
                fate.dropped = fate.dropped.or_else(drop);
                !sure
            }
            Then::Return => {
                fate.returned = true;
                !sure
            }
            Then::Jump(name) => {
                let inner = called(name);
                fate.accepted |= inner.accepted;
                fate.dropped = fate.dropped.or(inner.dropped);
                inner.returned || !sure
            }
            Then::Goto(name) => {
                let inner = called(name);
                fate.accepted |= inner.accepted;
                fate.dropped = fate.dropped.or(inner.dropped);
                fate.returned |= inner.returned;
                !sure
            }
        };
        if !on {
            return fate;
        }
    }
    fate.returned = true;
    fate
}

/// `None` where the rule does not apply; else whether that is sure.
fn matches(rule: &Rule, packet: &Packet<'_>) -> Option<bool> {
    let mut sure = true;
    for ask in &rule.asks {
        let is = match &ask.of {
            About::From(links) => links.iter().any(|link| named(link, packet.from)),
            About::To(links) => links.iter().any(|link| named(link, packet.to)),
            About::Source(nets) => nets.iter().any(|net| net.overlaps(single(packet.source))),
            About::Destination(nets) => nets
                .iter()
                .any(|net| net.overlaps(single(packet.destination))),
            About::Protocol(names) => names.iter().any(|name| name == packet.protocol),
            About::Port(ports) => ports
                .iter()
                .any(|(low, high)| (low..=high).contains(&&packet.port)),
            About::State(states) => states.iter().any(|state| state == packet.state),
            About::Kind(kinds) => {
                let kind = match packet.hook {
                    Hook::Input => "LOCAL",
                    Hook::Forward => "UNICAST",
                };
                kinds.iter().any(|name| name == kind)
            }
            About::Other => {
                sure = false;
                continue;
            }
        };
        if is == ask.not {
            return None;
        }
    }
    Some(sure)
}

fn named(pattern: &str, link: &str) -> bool {
    match pattern.strip_suffix(['*', '+']) {
        Some(start) => link.starts_with(start),
        None => pattern == link,
    }
}

fn single(address: Ipv4Addr) -> Subnet {
    Subnet::single(address)
}
