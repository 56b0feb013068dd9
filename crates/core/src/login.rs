//! Whether a login would work: the SSH banner says so, because the container's identity is
//! written before sshd starts.

use std::{net::SocketAddrV4, time::Duration};

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

async fn speaks_ssh(mut stream: TcpStream) -> bool {
    let mut start = [0; 4];
    let read = timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await;
    matches!(read, Ok(Ok(_))) && start == *b"SSH-"
}
