//! Reads what `iptables-save` prints. Only what decides about a packet.

use super::chain::{About, Ask, Chain, Hook, Rule, Then};
use crate::setup::subnet::Subnet;

/// The chains of one table, under the name it is known by.
pub(super) fn read(text: &str, table: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (name, policy) = (words.next().unwrap_or_default(), words.next());
            chains.push(Chain {
                table: table.to_owned(),
                name: name.to_owned(),
                hook: match name {
                    "FORWARD" => Some(Hook::Forward),
                    "INPUT" => Some(Hook::Input),
                    _ => None,
                },
                drops: policy == Some("DROP"),
                rules: Vec::new(),
            });
        }
        if let Some(rule) = line.strip_prefix("-A ") {
            let words = words(rule);
            let name = words.first().cloned().unwrap_or_default();
            if let Some(chain) = chains.iter_mut().find(|chain| chain.name == name) {
                chain
                    .rules
                    .push(self::rule(words.get(1..).unwrap_or_default()));
            }
        }
    }
    chains
}

/// Words, with what stands in quotation marks as one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn rule(words: &[String]) -> Rule {
    let mut rule = Rule {
        asks: Vec::new(),
        then: Then::GoOn,
    };
    let mut not = false;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut of = |about: Option<About>| {
            rule.asks.push(Ask {
                not: not && about.is_some(),
                of: about.unwrap_or(About::Other),
            });
        };
        match word {
            "!" => {
                not = true;
                continue;
            }
            "-i" => of(words.next().map(|link| About::From(vec![link.to_owned()]))),
            "-o" => of(words.next().map(|link| About::To(vec![link.to_owned()]))),
            "-s" => of(words
                .next()
                .and_then(Subnet::parse)
                .map(|net| About::Source(vec![net]))),
            "-d" => of(words
                .next()
                .and_then(Subnet::parse)
                .map(|net| About::Destination(vec![net]))),
            "-p" => of(words
                .next()
                .map(|name| About::Protocol(vec![name.to_owned()]))),
            "--dport" | "--dports" => of(words.next().and_then(ports).map(About::Port)),
            "--ctstate" | "--state" => of(words.next().map(|states| {
                About::State(states.split(',').map(str::to_ascii_lowercase).collect())
            })),
            "--dst-type" => {
                of(words
                    .next()
                    .map(|kinds| About::Kind(kinds.split(',').map(str::to_owned).collect())));
            }
            // Names a module; what it asks comes after it. A comment asks nothing.
            "-m" => {
                let known = [
                    "tcp",
                    "udp",
                    "conntrack",
                    "state",
                    "multiport",
                    "comment",
                    "addrtype",
                ];
                if !words.next().is_some_and(|module| known.contains(&module)) {
                    of(None);
                }
            }
            "--comment" => {
                words.next();
            }
            "-j" | "-g" => {
                let target = words.next().unwrap_or_default();
                rule.then = match target {
                    "ACCEPT" => Then::Accept,
                    "DROP" | "REJECT" => Then::Drop,
                    "RETURN" => Then::Return,
                    "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS" | "CT" => Then::GoOn,
                    chain if word == "-g" => Then::Goto(chain.to_owned()),
                    chain => Then::Jump(chain.to_owned()),
                };
                // What follows are the target's own options.
                break;
            }
            // The value of an option that is not known, or the option: asked once is enough.
            _ => of(None),
        }
        not = false;
    }
    rule
}

fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    let one = |text: &str| match text.split_once(':') {
        Some((low, high)) => Some((low.parse().ok()?, high.parse().ok()?)),
        None => text.parse().ok().map(|port| (port, port)),
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_its_questions_and_its_target() {
        let text = ":FORWARD DROP [0:0]\n\
             -A FORWARD ! -i docker0 -o docker0 -m comment --comment \"a b\" -p tcp -m tcp --dport 80:90 -j DROP\n\
             -A FORWARD -m limit --limit 3/min -j LOG --log-prefix \"[UFW BLOCK] \"\n";
        let chains = read(text, "t");
        let [first, second] = chains[0].rules.as_slice() else {
            panic!("{chains:?}");
        };
        assert!(chains[0].drops && chains[0].hook == Some(Hook::Forward));
        assert_eq!(first.then, Then::Drop);
        assert_eq!(first.asks.len(), 4, "{first:?}");
        assert!(first.asks[0].not && !first.asks[1].not);
        assert_eq!(first.asks[3].of, About::Port(vec![(80, 90)]));
        assert_eq!(second.then, Then::GoOn);
        assert!(second.asks.iter().all(|ask| ask.of == About::Other));
    }
}
