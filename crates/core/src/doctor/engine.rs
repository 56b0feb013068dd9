//! Incus: it answers, trusts us, is alone; and what only it can tell about the installation.

use std::path::Path;

use containarium_incus::{Client, Error, Server};

use super::{Finding, Looked, leftovers, neighbours, storage, version};
use crate::Installation;

const CHECK: &str = "engine";

/// What was found, and whether a container could be made.
pub(super) struct Engine {
    pub(super) findings: Vec<Finding>,
    pub(super) usable: bool,
}

pub(super) async fn examine(
    incus: &Client,
    socket: &Path,
    installation: Option<&Installation>,
    store: &Looked,
) -> Engine {
    let systemd = Path::new("/run/systemd/system").exists();
    let answer = incus.server().await;
    let mut findings = vec![judge(answer.as_ref(), socket, systemd)];
    let server = match answer {
        Ok(server) if server.is_trusted() => server,
        Ok(_) | Err(_) => {
            let why = "Incus must answer for that; see the check `engine`";
            for check in ["engine-version", "storage"] {
                findings.push(Finding::unknown(check, why));
            }
            return Engine {
                findings,
                usable: false,
            };
        }
    };
    findings.push(version::examine(&server.environment.server_version).await);
    if let Some(here) = installation {
        let (storage, left, neighbours) = tokio::join!(
            storage::examine(incus, socket, here),
            leftovers::examine(incus, here, store.store.as_ref()),
            neighbours::examine(incus, here),
        );
        findings.extend(storage);
        findings.extend(left);
        findings.extend(neighbours);
    }
    Engine {
        findings,
        usable: !server.environment.server_clustered,
    }
}

fn judge(answer: Result<&Server, &Error>, socket: &Path, systemd: bool) -> Finding {
    let socket = socket.display();
    let start = |finding: Finding, verb: &str| {
        if systemd {
            finding.run(format!("systemctl {verb} incus"))
        } else {
            finding.run("make up  # or: scripts/start-engine")
        }
    };
    match answer {
        Ok(server) if !server.is_trusted() => Finding::problem(
            CHECK,
            format!("Incus at {socket} does not trust this user: it does nothing for us"),
        )
        .run("sudo containarium doctor"),
        Ok(server) if server.environment.server_clustered => Finding::problem(
            CHECK,
            format!(
                "Incus at {socket} is part of a cluster; Containarium uses an Incus that is alone"
            ),
        ),
        Ok(server) => Finding::ok(
            CHECK,
            format!(
                "Incus {} answers at {socket}",
                server.environment.server_version
            ),
        ),
        Err(Error::Unreachable { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Finding::unknown(CHECK, format!("this user may not open {socket}"))
                .run("sudo containarium doctor")
        }
        Err(Error::Unreachable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let found =
                format!("there is no {socket}: Incus does not run, or is elsewhere (--engine)");
            start(Finding::problem(CHECK, found), "enable --now")
        }
        Err(Error::Unreachable { source, .. }) => start(
            Finding::problem(
                CHECK,
                format!("nobody answers at {socket} ({source}): Incus has ended; containers go on"),
            ),
            "restart",
        ),
        Err(e @ (Error::Timeout { .. } | Error::Protocol(_))) => start(
            Finding::problem(
                CHECK,
                format!("Incus at {socket} does not answer: {e}; containers go on"),
            ),
            "restart",
        ),
        Err(other) => Finding::problem(CHECK, format!("Incus at {socket}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn server(json: &str) -> Server {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_incus_that_is_away_says_how_to_start_it() {
        let away = |kind: std::io::ErrorKind| Error::Unreachable {
            engine: "/s".into(),
            source: kind.into(),
        };
        let socket = Path::new("/s");
        let missing = judge(Err(&away(std::io::ErrorKind::NotFound)), socket, true);
        assert_eq!(missing.verdict, Verdict::Problem);
        assert_eq!(missing.commands, ["systemctl enable --now incus"]);
        let dead = judge(
            Err(&away(std::io::ErrorKind::ConnectionRefused)),
            socket,
            true,
        );
        assert_eq!(dead.commands, ["systemctl restart incus"]);
        let denied = judge(
            Err(&away(std::io::ErrorKind::PermissionDenied)),
            socket,
            true,
        );
        assert_eq!(
            denied.verdict,
            Verdict::Unknown,
            "somebody else may be able to tell"
        );
    }

    #[test]
    fn a_cluster_and_a_stranger_are_problems() {
        let socket = Path::new("/s");
        let fine = server(r#"{"auth":"trusted","environment":{"server_version":"6.0.4"}}"#);
        assert_eq!(judge(Ok(&fine), socket, true).verdict, Verdict::Ok);
        let cluster = server(r#"{"auth":"trusted","environment":{"server_clustered":true}}"#);
        assert_eq!(judge(Ok(&cluster), socket, true).verdict, Verdict::Problem);
        let stranger = server(r#"{"auth":"untrusted","environment":{}}"#);
        assert_eq!(judge(Ok(&stranger), socket, true).verdict, Verdict::Problem);
    }
}
