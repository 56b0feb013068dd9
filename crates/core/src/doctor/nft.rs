//! Reads what `nft -j list ruleset` prints. Only what decides about an IPv4 packet.

use serde_json::Value;

use super::chain::{About, Ask, Chain, Hook, Rule, Then};
use crate::setup::subnet::Subnet;

/// What was read.
pub(super) struct Ruleset {
    pub(super) chains: Vec<Chain>,
    /// Tables with rules of iptables that nft cannot show whole.
    pub(super) opaque: Vec<String>,
}

pub(super) fn read(json: &str) -> Result<Ruleset, String> {
    let whole: Value = serde_json::from_str(json).map_err(|e| format!("nft's answer: {e}"))?;
    let objects = whole.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or("nft's answer has no rules in it")?;
    let mut ruleset = Ruleset {
        chains: Vec::new(),
        opaque: Vec::new(),
    };
    let text = |of: &Value, key: &str| {
        of.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let table = |of: &Value| format!("{} {}", text(of, "family"), text(of, "table"));
    let ipv4 = |of: &Value| matches!(text(of, "family").as_str(), "ip" | "inet");
    for object in objects {
        if let Some(chain) = object.get("chain").filter(|chain| ipv4(chain)) {
            let hook = match (text(chain, "type").as_str(), text(chain, "hook").as_str()) {
                ("filter", "forward") => Some(Hook::Forward),
                ("filter", "input") => Some(Hook::Input),
                _ => None,
            };
            ruleset.chains.push(Chain {
                table: table(chain),
                name: text(chain, "name"),
                hook,
                drops: text(chain, "policy") == "drop",
                rules: Vec::new(),
            });
        }
        if let Some(rule) = object.get("rule").filter(|rule| ipv4(rule)) {
            let exprs = rule.get("expr").and_then(Value::as_array);
            let exprs = exprs.map(Vec::as_slice).unwrap_or_default();
            if exprs.iter().any(|expr| expr.get("xt").is_some()) {
                ruleset.opaque.push(table(rule));
            }
            let (of, name) = (table(rule), text(rule, "chain"));
            let chain = ruleset
                .chains
                .iter_mut()
                .find(|chain| chain.table == of && chain.name == name);
            if let Some(chain) = chain {
                chain.rules.push(self::rule(exprs));
            }
        }
    }
    Ok(ruleset)
}

fn rule(exprs: &[Value]) -> Rule {
    let mut rule = Rule {
        asks: Vec::new(),
        then: Then::GoOn,
    };
    for expr in exprs {
        let Some((word, value)) = expr.as_object().and_then(|object| object.iter().next()) else {
            continue;
        };
        let target = || {
            value
                .get("target")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match word.as_str() {
            "match" => rule.asks.push(ask(value)),
            "accept" => rule.then = Then::Accept,
            "drop" | "reject" => rule.then = Then::Drop,
            "return" => rule.then = Then::Return,
            "jump" => rule.then = Then::Jump(target()),
            "goto" => rule.then = Then::Goto(target()),
            "xt" => match (
                value.get("type").and_then(Value::as_str),
                value.get("name").and_then(Value::as_str),
            ) {
                (Some("target"), Some("REJECT" | "DROP")) => rule.then = Then::Drop,
                (Some("target"), _) => {}
                (_, Some("comment")) => {}
                (_, _) => rule.asks.push(unknown()),
            },
            "counter" | "log" | "comment" | "mangle" | "masquerade" | "snat" | "dnat"
            | "notrack" | "ct timeout" | "ct helper" => {}
            // `limit`, `vmap`, `queue`, and what nft will know one day.
            "vmap" | "queue" => {
                rule.asks.push(unknown());
                rule.then = Then::Drop;
            }
            _ => rule.asks.push(unknown()),
        }
    }
    rule
}

fn unknown() -> Ask {
    Ask {
        not: false,
        of: About::Other,
    }
}

fn ask(value: &Value) -> Ask {
    let (Some(left), Some(right)) = (value.get("left"), value.get("right")) else {
        return unknown();
    };
    let not = match value.get("op").and_then(Value::as_str) {
        Some("==" | "in") | None => false,
        Some("!=") => true,
        Some(_) => return unknown(),
    };
    let meta = left.pointer("/meta/key").and_then(Value::as_str);
    let ct = left.pointer("/ct/key").and_then(Value::as_str);
    let protocol = left.pointer("/payload/protocol").and_then(Value::as_str);
    let field = left.pointer("/payload/field").and_then(Value::as_str);
    let about = match (meta, ct, protocol, field) {
        (Some("iifname" | "iif"), ..) => words(right).map(About::From),
        (Some("oifname" | "oif"), ..) => words(right).map(About::To),
        (Some("l4proto"), ..) => words(right).map(About::Protocol),
        (Some("nfproto"), ..) => Some(About::Protocol(match words(right).as_deref() {
            // Every packet of ours is IPv4.
            Some([one]) if one == "ipv4" => ["tcp", "udp"].map(str::to_owned).to_vec(),
            _ => Vec::new(),
        })),
        (_, Some("state"), ..) => words(right).map(About::State),
        (_, _, Some("ip"), Some("saddr")) => nets(right).map(About::Source),
        (_, _, Some("ip"), Some("daddr")) => nets(right).map(About::Destination),
        (_, _, Some("ip"), Some("protocol")) => words(right).map(About::Protocol),
        (_, _, Some("ip"), Some("version")) if right == 4 => {
            Some(About::Protocol(["tcp", "udp"].map(str::to_owned).to_vec()))
        }
        // Of another family or protocol: never one of our packets.
        (_, _, Some("ip6" | "icmp" | "icmpv6"), _) => Some(About::Protocol(Vec::new())),
        (_, _, Some("tcp" | "udp" | "th"), Some("dport")) => ports(right).map(About::Port),
        _ => None,
    };
    match about {
        Some(of) => Ask { not, of },
        None => unknown(),
    }
}

/// The members of a set, or the one value.
fn members(value: &Value) -> Vec<&Value> {
    match value.get("set").unwrap_or(value) {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.starts_with('@'))
            .map(str::to_owned)
    };
    members(value).into_iter().map(word).collect()
}

fn nets(value: &Value) -> Option<Vec<Subnet>> {
    let net = |value: &Value| match value.get("prefix") {
        Some(prefix) => {
            let (addr, len) = (prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?);
            Subnet::parse(&format!("{addr}/{len}"))
        }
        None => Subnet::parse(value.as_str()?),
    };
    members(value).into_iter().map(net).collect()
}

fn ports(value: &Value) -> Option<Vec<(u16, u16)>> {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let port = |value: &Value| match value.get("range").and_then(Value::as_array) {
        Some(range) => Some((number(range.first()?)?, number(range.get(1)?)?)),
        None => number(value).map(|port| (port, port)),
    };
    members(value).into_iter().map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_asked_and_never_taken_for_granted() {
        let exprs = |json: &str| rule(&serde_json::from_str::<Vec<Value>>(json).unwrap());
        let vmap = exprs(r#"[{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[]}}}]"#);
        assert_eq!((vmap.asks, vmap.then), (vec![unknown()], Then::Drop));
        let set = exprs(
            r#"[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@bad"}},{"drop":null}]"#,
        );
        assert_eq!(set.asks, [unknown()]);
        let limit = exprs(r#"[{"limit":{"rate":3,"per":"minute"}},{"accept":null}]"#);
        assert_eq!(limit.asks, [unknown()]);
    }

    #[test]
    fn sets_prefixes_and_ranges_are_read() {
        let right = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        assert_eq!(
            words(&right(r#"{"set":["new","established"]}"#))
                .unwrap()
                .len(),
            2
        );
        assert_eq!(words(&right(r#"["new","established"]"#)).unwrap().len(), 2);
        let nets = nets(&right(
            r#"{"set":[{"prefix":{"addr":"10.0.0.0","len":8}},"192.0.2.1"]}"#,
        ));
        assert_eq!(nets.unwrap()[1], Subnet::parse("192.0.2.1/32").unwrap());
        assert_eq!(
            ports(&right(r#"{"set":[22,{"range":[80,90]}]}"#)).unwrap(),
            [(22, 22), (80, 90)]
        );
    }
}
