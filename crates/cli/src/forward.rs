//! `containarium forward`: ports of a container on this machine.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use clap::Args;
use containarium_client::{CallError, Client};
use containarium_contract::{OpenTunnel, Port, Reason, Username};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    failure::{Exit, Failure},
    output,
};

/// Open ports of a container on this machine, until Ctrl-C
#[derive(Debug, Args)]
pub(crate) struct Forward {
    /// Whose container
    username: Username,
    /// A port of this machine, and the port inside where it is another one; 0 takes any free one here
    #[arg(required = true, value_name = "LOCAL[:PORT]")]
    ports: Vec<Pair>,
    /// The address of this machine to listen on; 0.0.0.0 lets others in
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
}

/// A port here and the port in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    local: u16,
    inside: Port,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_one = || "ports are written 3000, or LOCAL:PORT such as 8080:80".to_owned();
        let (local, inside) = text.split_once(':').unwrap_or((text, text));
        Ok(Self {
            local: local.parse().map_err(|_| not_one())?,
            inside: inside.parse().map_err(|_| not_one())?,
        })
    }
}

impl Forward {
    pub(crate) async fn run(self, client: &Client) -> Result<(), Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(other)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(other)?;
        let mut listening = JoinSet::new();
        let mut told = Vec::new();
        for pair in &self.ports {
            let listener = self.listen(*pair).await?;
            let ask = OpenTunnel {
                username: self.username.clone(),
                port: pair.inside,
            };
            let here = listener.local_addr().map_err(other)?;
            told.push(format!(
                "{here} is port {} of {}",
                pair.inside,
                self.username.container_name()
            ));
            // Whoever may not, or has no such container, learns it now and not at the first use.
            match client.open_tunnel(&ask).await {
                Ok(_) => {}
                Err(error) if comes_later(&error) => tell(here, Failure::from(error)),
                Err(error) => return Err(error.into()),
            }
            listening.spawn(serve(listener, here, client.clone(), ask));
        }
        output::written(&told.join("\n"))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }

    async fn listen(&self, pair: Pair) -> Result<TcpListener, Failure> {
        let address = SocketAddr::new(self.address, pair.local);
        TcpListener::bind(address)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => Failure::new(
                    Exit::Conflict,
                    format!("{address} is taken on this machine"),
                )
                .with_hint(format!(
                    "run `containarium forward {} 0:{}`, which takes a free one",
                    self.username, pair.inside
                )),
                _ => Failure::new(Exit::Other, format!("cannot listen on {address}: {error}")),
            })
    }
}

/// A program that does not listen yet, or a container that is not started yet.
fn comes_later(error: &CallError) -> bool {
    let CallError::Api {
        problem: Some(problem),
        ..
    } = error
    else {
        return false;
    };
    matches!(
        problem.reason,
        Some(Reason::Busy | Reason::DeadlineExceeded)
    )
}

/// Each connection is a tunnel. A failure is told, and ends that connection only.
async fn serve(listener: TcpListener, here: SocketAddr, client: Client, ask: OpenTunnel) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (client, ask) = (client.clone(), ask.clone());
                connections.spawn(async move {
                    if let Err(failure) = carry(stream, &client, &ask).await {
                        tell(here, failure);
                    }
                });
            }
            Err(error) => {
                tell(here, other(error));
                // Out of file descriptors, most likely: one of ours must end first.
                connections.join_next().await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(mut stream: TcpStream, client: &Client, ask: &OpenTunnel) -> Result<(), Failure> {
    let _set = stream.set_nodelay(true);
    let tunnel = client.open_tunnel(ask).await?;
    let (mut reader, mut writer) = stream.split();
    tunnel.carry(&mut reader, &mut writer).await?;
    Ok(())
}

fn tell(here: SocketAddr, failure: Failure) {
    failure.about(&here.to_string()).told();
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };

    fn ports(line: &str) -> Vec<(u16, u16)> {
        let Command::Forward(forward) = parsed(line) else {
            panic!("{line}")
        };
        let pair = |pair: &Pair| (pair.local, pair.inside.get());
        forward.ports.iter().map(pair).collect()
    }

    #[test]
    fn ports_are_one_or_two_and_may_be_many() {
        assert_eq!(ports("forward alice 3000"), [(3000, 3000)]);
        assert_eq!(ports("forward alice 8080:80 0:443"), [(8080, 80), (0, 443)]);
        for bad in ["", "0", "80:0", "x", "80:", "1:2:3", "65536"] {
            let error = refused(&format!("forward alice {bad}"));
            assert!(bad.is_empty() || error.contains("LOCAL:PORT"), "{error}");
        }
    }
}
