//! `containarium tunnel`: what ssh runs as its ProxyCommand.

use std::{
    fs::File,
    io,
    os::fd::AsFd as _,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll, ready},
};

use clap::Args;
use containarium_client::{Client, TunnelEnded};
use containarium_contract::{OpenTunnel, Port, Username};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
};

use crate::{
    failure::{Exit, Failure},
    known_hosts,
};

/// Connect stdin and stdout to a port of a container; for ssh's ProxyCommand and the like
#[derive(Debug, Args)]
pub(crate) struct Tunnel {
    /// Whose container
    username: Username,
    /// The port inside
    #[arg(long, default_value_t = Port::SSH)]
    port: Port,
    /// A file of ssh's known hosts for this container alone; emptied when the container is another one than before
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
}

impl From<&Tunnel> for OpenTunnel {
    fn from(form: &Tunnel) -> Self {
        Self {
            username: form.username.clone(),
            port: form.port,
        }
    }
}

impl Tunnel {
    pub(crate) async fn run(self, client: &Client) -> Result<(), Failure> {
        let tunnel = client.open_tunnel(&OpenTunnel::from(&self)).await?;
        // Before ssh sees the first byte, and so before it looks for the host's key.
        if let (Some(file), Some(created_at)) = (&self.known_hosts, tunnel.created_at()) {
            known_hosts::renew(file, created_at)
                .map_err(|e| Failure::new(Exit::Other, format!("{}: {e}", file.display())))?;
        }
        let mut writer = stdout().map_err(|e| Failure::new(Exit::Other, format!("stdout: {e}")))?;
        let mut reader = stdin();
        match tunnel.carry(&mut reader, &mut writer).await {
            Ok(()) => Ok(()),
            // Whoever used it has gone.
            Err(TunnelEnded::Local(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(ended) => {
                // Open until this process has ended: ssh goes when it is closed, and takes this
                // process with it before it could say why.
                std::mem::forget(writer);
                Err(ended.into())
            }
        }
    }
}

/// ssh gives us pipes, and those are read without a thread in between; anything else is read by one.
fn stdin() -> Box<dyn AsyncRead + Unpin> {
    let own = io::stdin().as_fd().try_clone_to_owned();
    match own.and_then(pipe::Receiver::from_owned_fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdin()),
    }
}

/// The stdout of this process, which it gives away: only so can its end be told to whoever reads it.
fn stdout() -> io::Result<Stdout> {
    let own = || io::stdout().as_fd().try_clone_to_owned();
    let writer: Box<dyn AsyncWrite + Unpin> = match own().and_then(pipe::Sender::from_owned_fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::fs::File::from_std(own()?.into())),
    };
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(Stdout(Some(writer)))
}

/// Closed by a shutdown.
struct Stdout(Option<Box<dyn AsyncWrite + Unpin>>);

impl Stdout {
    fn open(&mut self) -> io::Result<Pin<&mut Box<dyn AsyncWrite + Unpin>>> {
        let writer = self.0.as_mut().map(Pin::new);
        writer.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?.poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.open()?.poll_flush(task))?;
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };
    use serde_json::json;

    fn request(line: &str) -> OpenTunnel {
        let Command::Tunnel(tunnel) = parsed(line) else {
            panic!("{line}")
        };
        OpenTunnel::from(&tunnel)
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        let wanted = |json| serde_json::from_value::<OpenTunnel>(json).unwrap();
        assert_eq!(
            request("tunnel alice"),
            wanted(json!({"username": "alice"}))
        );
        assert_eq!(
            request("tunnel alice --port 80"),
            wanted(json!({"username": "alice", "port": 80}))
        );
        assert!(refused("tunnel alice --port 0").contains("from 1 to 65535"));
    }
}
