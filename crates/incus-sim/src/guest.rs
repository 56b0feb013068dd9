//! What stands for a guest: a listener on the instance's address with a banner of SSH, which hangs up,
//! with a reason, on whoever wants to log in.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Where guests listen: port 22 wants root.
pub(crate) const SSH_PORT: u16 = 22022;

const BANNER: &[u8] = b"SSH-2.0-sim\r\n";
const REASON: &[u8] = b"SIMULATED: there is no machine behind this address";

/// A listening guest; it hangs up, and frees its address, some time after it is dropped, or at once
/// with [`Guest::end`].
pub(crate) struct Guest {
    task: JoinHandle<()>,
}

impl Guest {
    /// Listens.
    pub(crate) fn boot(address: Ipv4Addr) -> io::Result<Self> {
        let listener = StdListener::bind((address, SSH_PORT))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while talks.try_join_next().is_some() {}
                talks.spawn(greet(stream));
            }
        });
        Ok(Self { task })
    }

    /// Hangs up, and returns when the address is free.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A caller who goes away at any point is its own affair.
async fn greet(mut stream: TcpStream) {
    if stream.write_all(BANNER).await.is_err() {
        return;
    }
    let mut said = [0; 512];
    while let Ok(length @ 1..) = stream.read(&mut said).await {
        if said
            .get(..length)
            .is_some_and(|said| said.starts_with(b"SSH-"))
        {
            let _told = stream.write_all(&disconnect()).await;
            // Read on until it hangs up: closing first could lose what was said.
        }
    }
}

/// SSH_MSG_DISCONNECT (RFC 4253, 11.1) by application, in a packet of before the key exchange.
fn disconnect() -> Vec<u8> {
    let mut payload = vec![1, 0, 0, 0, 11];
    for text in [REASON, b"en"] {
        payload.extend((text.len() as u32).to_be_bytes());
        payload.extend(text);
    }
    // The whole is a multiple of 8, and at least four bytes are padding.
    let padding = 4 + (8 - (4 + 1 + payload.len() + 4) % 8) % 8;
    let mut packet = Vec::from(((1 + payload.len() + padding) as u32).to_be_bytes());
    packet.push(padding as u8);
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}
