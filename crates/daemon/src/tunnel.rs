//! Tunnels: the WebSocket's handshake, and carrying until one of the many ends. Who may have one,
//! and the connection into the container, are core's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use containarium_contract::{OpenTunnel, Problem, Reason};
use containarium_core::{Reached, Tunnel};
use containarium_tunnel::{End, Goodbye, Tunnel as Socket, accept_of};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const CREATED: HeaderName = HeaderName::from_static(OpenTunnel::CREATED_HEADER);
/// How long the `101` may take to be written.
const ANSWER: Duration = Duration::from_secs(10);
/// A clock may be set; the token's end is looked at anew after this.
const LOOK: Duration = Duration::from_secs(4);

/// The tunnels of a daemon, which outlive their requests.
#[derive(Clone, Default)]
pub struct Tunnels {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A request that wants to become a WebSocket.
pub(crate) struct Upgrade {
    accept: String,
    connection: OnUpgrade,
}

impl Upgrade {
    /// What the request brings for it; a problem where it is not a WebSocket's.
    pub(crate) fn take<B>(request: &mut Request<B>) -> Result<Self, Problem> {
        let not_one = || {
            Problem::new(
                Reason::Malformed,
                "this is a WebSocket: it takes a GET with `Connection: Upgrade`, `Upgrade: \
                 websocket`, `Sec-WebSocket-Version: 13` and a `Sec-WebSocket-Key`",
            )
        };
        let headers = request.headers();
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.and_then(|key| key.to_str().ok()).filter(|_| {
            request.method() == Method::GET
                && lists(headers, &header::CONNECTION, "upgrade")
                && lists(headers, &header::UPGRADE, "websocket")
                && lists(headers, &header::SEC_WEBSOCKET_VERSION, "13")
        });
        let accept = accept_of(key.ok_or_else(not_one)?);
        // Absent where the connection cannot be taken over, as with HTTP/1.0.
        let connection = request.extensions_mut().remove::<OnUpgrade>();
        Ok(Self {
            accept,
            connection: connection.ok_or_else(not_one)?,
        })
    }

    fn answer(&self, created_at: u64) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CREATED, created_at.into());
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// Whether a header lists the word, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

impl Tunnels {
    /// Carries `tunnel` over the request's connection, until the token's `expiry` (Unix seconds) at
    /// the latest; the answer that begins it.
    pub(crate) fn begin(
        &self,
        upgrade: Upgrade,
        tunnel: Tunnel,
        expiry: u64,
        request: String,
    ) -> Response<Body> {
        let answer = upgrade.answer(tunnel.container.created_at());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            match timeout(ANSWER, upgrade.connection).await {
                Ok(Ok(connection)) => {
                    let socket = Socket::server(TokioIo::new(connection)).await;
                    let goodbye = carry(socket, tunnel, expiry, stop).await;
                    tracing::info!(
                        request,
                        code = goodbye.code,
                        why = goodbye.reason,
                        "a tunnel ended"
                    );
                }
                Ok(Err(error)) => tracing::debug!(request, %error, "a tunnel did not begin"),
                Err(_) => tracing::debug!(request, "a tunnel did not begin in time"),
            }
        });
        answer
    }

    /// Ends all tunnels, and returns when they have.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Carries until something ends it; what was said then.
async fn carry(
    mut socket: Socket<TokioIo<hyper::upgrade::Upgraded>>,
    tunnel: Tunnel,
    expiry: u64,
    stop: CancellationToken,
) -> Goodbye {
    let Tunnel {
        mut stream,
        container,
    } = tunnel;
    let (mut reader, mut writer) = stream.split();
    let goodbye = tokio::select! {
        end = socket.carry(&mut reader, &mut writer, container.settled()) => {
            last_words(end, &container).await
        }
        why = container.ended() => Goodbye::gone(&why),
        () = expired(expiry) => Goodbye::revoked("the token has expired"),
        () = stop.cancelled() => Goodbye::gone("the daemon stops"),
    };
    socket.close(goodbye.clone()).await;
    goodbye
}

async fn last_words(end: End, container: &Reached) -> Goodbye {
    match end {
        End::Finished | End::Closed(_) | End::Broken(_) => Goodbye::done(),
        End::Silent => Goodbye::gone("nothing was heard from the client for a minute"),
        End::Misused(why) => Goodbye::misused(why),
        End::Local(error) => {
            let lost = tokio::select! {
                why = container.ended() => Some(why),
                lost = async { container.settled().await; container.lost().await } => lost,
            };
            match lost {
                Some(why) => Goodbye::gone(&why),
                None => Goodbye::broken(&format!("the connection in the container broke: {error}")),
            }
        }
    }
}

/// Waits until the clock shows `expiry`, Unix seconds.
async fn expired(expiry: u64) {
    let end = UNIX_EPOCH + Duration::from_secs(expiry);
    while let Ok(left) = end.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(LOOK)).await;
    }
}
