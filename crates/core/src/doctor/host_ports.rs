//! Whether containers reach what else listens on this host.

use std::collections::BTreeSet;

use super::{Finding, command, listener};
use crate::{Installation, host_ports};

const CHECK: &str = "host-ports";

pub(super) async fn examine(installation: Option<&Installation>) -> Option<Finding> {
    let here = installation?;
    let table = host_ports::table(&here.name);
    let asked = command::ask("nft", &["list", "table", "inet", &table]).await;
    let open: BTreeSet<u16> = listener::tcp()
        .into_iter()
        .filter(|l| l.address.is_unspecified() || l.address == here.gateway)
        .map(|l| l.port)
        .filter(|port| *port != 53)
        .collect();
    Some(judge(asked.as_deref(), &here.name, &open))
}

fn judge(asked: Result<&str, &String>, bridge: &str, open: &BTreeSet<u16>) -> Finding {
    let all: Vec<String> = open.iter().map(u16::to_string).collect();
    match asked {
        Ok(table) if table.contains("reject") && table.contains(&format!("\"{bridge}\"")) => {
            Finding::ok(
                CHECK,
                "containers reach names on this host and no other port of it",
            )
        }
        Err(why) if !why.contains("No such file") => Finding::unknown(CHECK, why.as_str()),
        Ok(_) | Err(_) if open.is_empty() => Finding::ok(
            CHECK,
            "nothing of this host listens where containers could reach it",
        ),
        Ok(_) | Err(_) => Finding::warning(
            CHECK,
            format!(
                "containers reach the ports {} of this host: our table in nftables is gone; the \
                 daemon sets it at its start",
                all.join(", ")
            ),
        )
        .run("systemctl restart containarium  # or: containarium init"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_table_that_was_flushed_leaves_ports_open() {
        let open = BTreeSet::from([22, 5432]);
        let table = "table inet containarium_ct {\n iifname \"ct\" jump guests\n reject\n}";
        assert_eq!(judge(Ok(table), "ct", &open).verdict, Verdict::Ok);
        let gone = "nft failed: Error: No such file or directory".to_owned();
        let finding = judge(Err(&gone), "ct", &open);
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.found.contains("22, 5432"), "{}", finding.found);
        assert_eq!(
            judge(Err(&gone), "ct", &BTreeSet::new()).verdict,
            Verdict::Ok
        );
        let denied = "nft failed: Operation not permitted".to_owned();
        assert_eq!(judge(Err(&denied), "ct", &open).verdict, Verdict::Unknown);
    }
}
