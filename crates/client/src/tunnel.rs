//! A connection into a container, as whoever uses it sees it. How it is carried is the tunnel
//! crate's business, who may have one the daemon's.

use std::{io, time::Duration};

use containarium_contract::OpenTunnel;
use containarium_tunnel::{End, Goodbye, Tunnel as Socket, accept_of, new_key};
use reqwest::{
    StatusCode, Upgraded,
    header::{self, HeaderMap},
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    CallError, Client, dial,
    projection::{Projection, Rest},
};

/// How long the daemon may take to connect to the container; it gives up itself before this.
const OPEN: Duration = Duration::from_secs(15);

/// An open tunnel.
pub struct Tunnel {
    socket: Socket<Upgraded>,
    created_at: Option<u64>,
}

/// Why a tunnel ended before both sides had finished.
#[derive(Debug, thiserror::Error)]
pub enum TunnelEnded {
    /// The daemon ended it, and this is what it said.
    #[error("{0}")]
    Closed(String),
    /// Nothing was heard from the daemon for a minute.
    #[error("nothing was heard from the server for a minute")]
    Silent,
    /// The connection to the daemon broke.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// What it was carried from or to broke.
    #[error(transparent)]
    Local(io::Error),
}

impl Client {
    /// Opens a connection into a container.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn open_tunnel(&self, ask: &OpenTunnel) -> Result<Tunnel, CallError> {
        let Projection { path, rest } =
            Projection::of_stream(ask).map_err(|e| CallError::Protocol(e.to_string()))?;
        let key = new_key();
        let mut call = self
            .signed(self.http.get(self.server.at(&path)))?
            .timeout(OPEN)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        if let Rest::Query(pairs) = rest {
            call = call.query(&pairs);
        }
        let unreachable = |e| CallError::Unreachable {
            why: dial::why(&self.server, &e),
        };
        let answer = call.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = answer.text().await.map_err(unreachable)?;
            if status.is_success() {
                return Err(CallError::Protocol(format!("{path}: not a WebSocket")));
            }
            return Err(CallError::refused(status.as_u16(), body));
        }
        let created_at = answer
            .headers()
            .get(OpenTunnel::CREATED_HEADER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if !accepts(answer.headers(), &key) {
            return Err(CallError::Protocol(format!("{path}: not a WebSocket")));
        }
        let connection = answer.upgrade().await.map_err(unreachable)?;
        Ok(Tunnel {
            socket: Socket::client(connection).await,
            created_at,
        })
    }
}

fn accepts(headers: &HeaderMap, key: &str) -> bool {
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes() == accept_of(key).as_bytes())
}

impl Tunnel {
    /// When the container at its end was made, Unix seconds.
    pub fn created_at(&self) -> Option<u64> {
        self.created_at
    }

    /// Carries what `reader` gives into the container and what comes from there to `writer`, until
    /// both have finished.
    ///
    /// # Errors
    ///
    /// It ended before that.
    pub async fn carry<R, W>(mut self, reader: &mut R, writer: &mut W) -> Result<(), TunnelEnded>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let end = self
            .socket
            .carry(reader, writer, std::future::ready(()))
            .await;
        self.socket.close(Goodbye::done()).await;
        match end {
            End::Finished => Ok(()),
            End::Closed(goodbye) if goodbye.is_done() => Ok(()),
            End::Closed(goodbye) => Err(TunnelEnded::Closed(goodbye.reason)),
            End::Silent => Err(TunnelEnded::Silent),
            End::Broken(why) => Err(TunnelEnded::Broken(why)),
            End::Misused(why) => Err(TunnelEnded::Broken(why.to_owned())),
            End::Local(error) => Err(TunnelEnded::Local(error)),
        }
    }
}
