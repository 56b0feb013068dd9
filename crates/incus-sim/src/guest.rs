//! What stands for a guest: a listener on the instance's address, port 22, with a banner of SSH.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A listening guest; it hangs up, and frees its address, some time after it is dropped, or at once
/// with [`Guest::end`].
pub(crate) struct Guest {
    task: JoinHandle<()>,
}

impl Guest {
    /// Listens. Port 22 wants root, or a kernel that lets users have it.
    pub(crate) fn boot(address: Ipv4Addr) -> io::Result<Self> {
        let listener = StdListener::bind((address, 22))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut talks = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                while talks.try_join_next().is_some() {}
                talks.spawn(async move {
                    let mut ignored = [0; 512];
                    if stream.write_all(b"SSH-2.0-sim\r\n").await.is_ok() {
                        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
                    }
                });
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
