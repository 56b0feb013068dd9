//! Carrying: bytes become binary messages, an empty message is the end of one direction, and a
//! ping every 20 s keeps the way open.
//!
//! Nothing is queued: a chunk is read only when the one before it has been written, in both
//! directions, so whoever does not read stops whoever writes, and a tunnel costs the same few
//! buffers whatever passes through it.
//!
//! An end that is stalled cannot read, and so cannot answer a ping. Therefore both ends send pings
//! of their own, and an end counts the other's silence only while it reads.

use std::{io, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{
    Sink, SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Barrier,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{End, Goodbye};

/// The most that is read at once, and so the size of a full message.
const CHUNK: usize = 64 << 10;
/// The longest message that is taken.
const LONGEST_MESSAGE: usize = 1 << 20;
/// Between two pings: proxies and NATs forget a way that nobody uses, after a minute or so.
const BEAT: Duration = Duration::from_secs(20);
/// An end that is not heard for so long is gone: two pings were lost.
const SILENCE: Duration = Duration::from_secs(60);
/// How long what is under way in one direction may take once the other is broken.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the other end may take to answer a goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// A tunnel's WebSocket, after its handshake.
pub struct Tunnel<S> {
    socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunnel<S> {
    /// The end that was asked.
    pub async fn server(stream: S) -> Self {
        Self::over(stream, Role::Server).await
    }

    /// The end that asked.
    pub async fn client(stream: S) -> Self {
        Self::over(stream, Role::Client).await
    }

    async fn over(stream: S, role: Role) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CHUNK)
            .write_buffer_size(0)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(stream, role, Some(config)).await;
        Self { socket }
    }

    /// Carries what `reader` gives to the other end, and what the other end sends to `writer`,
    /// until both have finished or something ends it. The end of `reader` is passed on when
    /// `before_finish` is over. May be dropped; the tunnel is then good for [`Self::close`].
    pub async fn carry<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        before_finish: impl Future<Output = ()>,
    ) -> End
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (sink, stream) = (&mut self.socket).split();
        let both = Barrier::new(2);
        let end = tokio::select! {
            end = send(reader, sink, before_finish, &both) => end,
            end = receive(stream, writer, &both) => end,
        };
        match end {
            Ok(()) => End::Finished,
            Err(end) => end,
        }
    }

    /// Says goodbye, and waits a moment for the other end's: a connection that is dropped with
    /// something unread in it takes the words back.
    pub async fn close(mut self, goodbye: Goodbye) {
        let farewell = async {
            if self.socket.close(Some(goodbye.frame())).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _answered = timeout(FAREWELL, farewell).await;
    }
}

type Sending<'s, S> = SplitSink<&'s mut WebSocketStream<S>, Message>;
type Receiving<'s, S> = SplitStream<&'s mut WebSocketStream<S>>;

/// From `reader` to the other end.
async fn send<R, S>(
    reader: &mut R,
    mut sink: Sending<'_, S>,
    before_finish: impl Future<Output = ()>,
    both: &Barrier,
) -> Result<(), End>
where
    R: AsyncRead + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        let read = beating(&mut beat, &mut sink, reader.read_buf(&mut buffer)).await?;
        if read.map_err(End::Local)? == 0 {
            break;
        }
        let message = Message::Binary(buffer.split().freeze());
        sink.send(message).await.map_err(broken)?;
        buffer.reserve(CHUNK);
    }
    beating(&mut beat, &mut sink, before_finish).await?;
    let finish = Message::Binary(Bytes::new());
    sink.send(finish).await.map_err(broken)?;
    beating(&mut beat, &mut sink, both.wait()).await?;
    Ok(())
}

/// Waits for `work`, sending pings meanwhile.
async fn beating<T>(
    beat: &mut Interval,
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    work: impl Future<Output = T>,
) -> Result<T, End> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return Ok(done),
            _ = beat.tick() => {
                let ping = Message::Ping(Bytes::new());
                sink.send(ping).await.map_err(broken)?;
            }
        }
    }
}

/// From the other end to `writer`.
async fn receive<W, S>(
    mut stream: Receiving<'_, S>,
    writer: &mut W,
    both: &Barrier,
) -> Result<(), End>
where
    W: AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut finished = false;
    let mut both = pin!(both.wait());
    loop {
        let message = tokio::select! {
            _ = both.as_mut(), if finished => return Ok(()),
            message = timeout(SILENCE, stream.next()) => message,
        };
        let message = match message {
            Err(_) => return Err(End::Silent),
            Ok(None) => return Err(End::Broken("it ended without a word".into())),
            Ok(Some(Err(error))) => return Err(broken(error)),
            Ok(Some(Ok(message))) => message,
        };
        let written = match message {
            Message::Binary(_) if finished => {
                return Err(End::Misused("more data after the end of it"));
            }
            Message::Binary(data) if data.is_empty() => {
                finished = true;
                writer.shutdown().await
            }
            Message::Binary(data) => write(writer, &data).await,
            Message::Close(frame) => return Err(End::Closed(Goodbye::said(frame))),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Text(_) | Message::Frame(_) => {
                return Err(End::Misused("a tunnel takes binary messages"));
            }
        };
        if let Err(error) = written {
            // Whoever does not want more may still have said something: it is on its way.
            tokio::select! {
                _ = both.as_mut() => {}
                () = sleep(LAST_WORDS) => {}
            }
            return Err(End::Local(error));
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, data: &[u8]) -> io::Result<()> {
    writer.write_all(data).await?;
    writer.flush().await
}

fn broken(error: Error) -> End {
    match error {
        Error::Capacity(_) => End::Misused("a message is at most 1 MiB long"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            End::Broken("it ended without a word".into())
        }
        Error::Protocol(_) => End::Misused("this is not a WebSocket message"),
        other => End::Broken(other.to_string()),
    }
}
