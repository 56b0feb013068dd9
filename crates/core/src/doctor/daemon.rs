//! The daemon and its port: it answers and is ready, nobody else has the port, or it does not run.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    Finding,
    listener::{self, Process},
};

const CHECK: &str = "daemon";
/// `/ready` asks the store and Incus.
const WITHIN: Duration = Duration::from_secs(6);

/// What is seen at the port.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nobody,
    /// The body of its answer to `/ready`.
    Answer(String),
    /// It is there and says nothing of ours.
    Stranger,
}

pub(super) async fn examine(address: IpAddr, port: u16) -> Finding {
    let there = listener::tcp()
        .into_iter()
        .find(|l| l.port == port && listener::takes(l, address));
    let dial = if address.is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address
    };
    let (seen, process) = match &there {
        None => (Seen::Nobody, None),
        Some(listener) => {
            let holder = listener::holder(listener);
            let answer = timeout(WITHIN, ready(SocketAddr::new(dial, port))).await;
            let seen = answer.ok().flatten().map_or(Seen::Stranger, Seen::Answer);
            (seen, holder)
        }
    };
    let systemd = std::path::Path::new("/run/systemd/system").exists();
    judge(
        &seen,
        process.as_ref(),
        SocketAddr::new(address, port),
        systemd,
    )
}

/// The answer to `GET /ready`, if it looks like ours.
async fn ready(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let ask = format!("GET /ready HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer).await.ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let body = text.split_once("\r\n\r\n")?.1;
    (body.contains("\"store\"") && body.contains("\"engine\"")).then(|| body.to_owned())
}

fn judge(seen: &Seen, process: Option<&Process>, at: SocketAddr, systemd: bool) -> Finding {
    let who = process.map_or_else(
        || "a process that this user cannot see".to_owned(),
        |process| format!("{} (pid {})", process.command, process.pid),
    );
    match seen {
        Seen::Answer(body) if body.contains("\"status\":\"ready\"") => {
            Finding::ok(CHECK, format!("{who} is ready at {at}"))
        }
        Seen::Answer(body) => {
            let finding = Finding::problem(CHECK, format!("{who} at {at} is not ready: {body}"));
            if systemd {
                finding.run("journalctl -u containarium -n 50")
            } else {
                finding
            }
        }
        Seen::Stranger => Finding::problem(
            CHECK,
            format!(
                "port {} is taken by {who}, which is not our daemon",
                at.port()
            ),
        )
        .run(format!("ss -ltnp 'sport = :{}'", at.port()))
        .run(format!(
            "containarium daemon --address {} --port {}  # or stop the other one",
            at.ip(),
            at.port().wrapping_add(1)
        )),
        Seen::Nobody => {
            let found = format!("nobody listens at {at}: the daemon does not run");
            Finding::warning(CHECK, found).run(if systemd {
                "systemctl start containarium".to_owned()
            } else {
                format!(
                    "containarium daemon --address {} --port {}",
                    at.ip(),
                    at.port()
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[tokio::test]
    async fn a_port_that_somebody_else_has_is_told_with_the_name() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let answering = std::thread::spawn(move || {
            let (mut caller, _) = other.accept().unwrap();
            std::io::Write::write_all(&mut caller, b"HTTP/1.0 200 OK\r\n\r\n<html>").unwrap();
        });
        let finding = examine("127.0.0.1".parse().unwrap(), port).await;
        answering.join().unwrap();
        assert_eq!(finding.verdict, Verdict::Problem);
        let pid = format!("(pid {})", std::process::id());
        assert!(finding.found.contains(&pid), "{}", finding.found);
        assert!(finding.commands[1].contains(&format!("--port {}", port + 1)));
    }

    #[tokio::test]
    async fn nobody_is_a_daemon_that_does_not_run() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let finding = examine("127.0.0.1".parse().unwrap(), port).await;
        assert_eq!(finding.verdict, Verdict::Warning);
    }

    #[test]
    fn a_daemon_without_its_engine_is_not_ready() {
        let at = "127.0.0.1:8080".parse().unwrap();
        let ready = Seen::Answer(r#"{"status":"ready","store":"ok","engine":"ok"}"#.into());
        assert_eq!(judge(&ready, None, at, true).verdict, Verdict::Ok);
        let away =
            Seen::Answer(r#"{"status":"not ready","store":"ok","engine":"unreachable"}"#.into());
        let finding = judge(&away, None, at, true);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert!(finding.found.contains("unreachable"), "{}", finding.found);
    }
}
