//! Whether a login would work: the SSH banner says so, because the container's identity is
//! written before sshd starts. Each look is a line in the container's journal, so whether one is due is
//! seen from outside.

use std::{fs, net::SocketAddrV4, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// How long one dial may take. A dial into a container that has no address yet hangs, and the
/// kernel asks again only after a second; the next dial of ours does not wait for that.
const DIAL: Duration = Duration::from_millis(50);
/// Between a refusal and the next dial: there is no event for another machine's listening socket.
const PAUSE: Duration = Duration::from_millis(4);

/// Waits until `sshd` speaks; false where it did not before `deadline`.
pub(crate) async fn banner(sshd: SocketAddrV4, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        match timeout(DIAL, TcpStream::connect(sshd)).await {
            Ok(Ok(stream)) => {
                if speaks_ssh(stream).await {
                    return true;
                }
                sleep(PAUSE).await;
            }
            Ok(Err(_)) => sleep(PAUSE).await,
            Err(_) => {}
        }
    }
    false
}

/// Whether anything listens on port 22 of the network that this process is in; `None` where that cannot
/// be seen.
pub(crate) async fn listens(pid: u64) -> Option<bool> {
    let read = tokio::task::spawn_blocking(move || {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/net/{file}")).ok();
        let (four, six) = (read("tcp")?, read("tcp6").unwrap_or_default());
        Some(four.lines().chain(six.lines()).any(is_sshd))
    });
    read.await.ok().flatten()
}

/// Whether a line of `/proc/PID/net/tcp` is of a socket that listens on port 22.
fn is_sshd(line: &str) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next(), fields.next(), fields.next());
    state == Some("0A") && local.is_some_and(|local| local.ends_with(":0016"))
}

async fn speaks_ssh(mut stream: TcpStream) -> bool {
    let mut start = [0; 4];
    let read = timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await;
    matches!(read, Ok(Ok(_))) && start == *b"SSH-"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_on_port_22_is_told_from_others() {
        let listens =
            "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0";
        let session =
            "   1: 0A00410A:0016 0100410A:9C40 01 00000000:00000000 00:00000000 00000000 0";
        let other = "   2: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0";
        assert!(is_sshd(listens));
        assert!(
            !is_sshd(session) && !is_sshd(other) && !is_sshd("  sl  local_address rem_address")
        );
    }
}
