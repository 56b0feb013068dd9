//! Two ends in memory, on a clock that jumps when nothing else can happen.

use std::{
    future::ready,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use containarium_tunnel::{End, Goodbye, Tunnel};
use futures_util::SinkExt as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

const WIRE: usize = 16 << 10;

async fn ends() -> (Tunnel<DuplexStream>, Tunnel<DuplexStream>) {
    let (a, b) = duplex(WIRE);
    (Tunnel::server(a).await, Tunnel::client(b).await)
}

/// A server, and the bare WebSocket of a client that does what a test wants.
async fn bare() -> (Tunnel<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (a, b) = duplex(4 << 20);
    let client = WebSocketStream::from_raw_socket(b, Role::Client, None).await;
    (Tunnel::server(a).await, client)
}

/// Bytes without end, counted.
struct Endless(Arc<AtomicUsize>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        buffer.initialize_unfilled().fill(7);
        buffer.advance(room);
        self.0.fetch_add(room, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_in_comes_out_in_both_directions() {
    let (mut server, mut client) = ends().await;
    let up: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let down: Vec<u8> = up.iter().rev().copied().collect();
    let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
    let (mut from_server, mut from_client) = (down.as_slice(), up.as_slice());
    let (one, other) = tokio::join!(
        server.carry(&mut from_server, &mut at_server, ready(())),
        client.carry(&mut from_client, &mut at_client, ready(())),
    );
    assert!(matches!(one, End::Finished), "{one:?}");
    assert!(matches!(other, End::Finished), "{other:?}");
    assert!(at_server == up && at_client == down);
}

#[tokio::test(start_paused = true)]
async fn one_side_that_has_finished_still_hears_the_other() {
    let (mut server, mut client) = ends().await;
    let counts = async {
        let (mut to, mut from) = duplex(1024);
        let service = async {
            let mut asked = Vec::new();
            from.read_to_end(&mut asked).await.unwrap();
            from.write_all(format!("{} bytes", asked.len()).as_bytes())
                .await
                .unwrap();
            from.shutdown().await.unwrap();
        };
        let (mut reader, mut writer) = tokio::io::split(&mut to);
        let carry = server.carry(&mut reader, &mut writer, ready(()));
        tokio::join!(carry, service).0
    };
    let (mut asked, mut answer) = (&[1; 100_000][..], Vec::new());
    let (one, other) = tokio::join!(counts, client.carry(&mut asked, &mut answer, ready(())));
    assert!(
        matches!((&one, &other), (End::Finished, End::Finished)),
        "{one:?} {other:?}"
    );
    assert_eq!(answer, b"100000 bytes");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_stops_whoever_writes_and_is_not_taken_for_gone() {
    let (mut server, mut client) = ends().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut endless = Endless(sent.clone());
    let serving = tokio::spawn(async move {
        server
            .carry(&mut endless, &mut tokio::io::sink(), ready(()))
            .await
    });
    let (mut stalled, mut held) = duplex(WIRE);
    let (_idle, mut nothing) = duplex(1);
    let carrying =
        tokio::spawn(async move { client.carry(&mut nothing, &mut stalled, ready(())).await });
    // An hour on a clock that moves only when nothing else does.
    let hour = Duration::from_secs(3600);
    let _stalled = timeout(hour, std::future::pending::<()>()).await;
    let before = sent.load(Ordering::Relaxed);
    assert!(before < 512 << 10, "{before} bytes were read for nobody");
    let mut taken = vec![0; 4 << 20];
    held.read_exact(&mut taken).await.unwrap();
    assert!(!serving.is_finished() && !carrying.is_finished());
    assert!(sent.load(Ordering::Relaxed) > before);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_heard_is_gone_after_a_minute() {
    let (mut server, client) = bare().await;
    let (_idle, mut nothing) = duplex(1);
    let begun = Instant::now();
    let end = server
        .carry(&mut nothing, &mut tokio::io::sink(), ready(()))
        .await;
    assert!(matches!(end, End::Silent), "{end:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn two_idle_ends_keep_each_other_alive() {
    let (mut server, mut client) = ends().await;
    let (_one, mut nothing) = duplex(1);
    let (_other, mut silence) = duplex(1);
    let (mut no_one, mut nowhere) = (tokio::io::sink(), tokio::io::sink());
    let idle = async {
        tokio::select! {
            end = server.carry(&mut nothing, &mut no_one, ready(())) => end,
            end = client.carry(&mut silence, &mut nowhere, ready(())) => end,
        }
    };
    let day = Duration::from_secs(24 * 3600);
    assert!(timeout(day, idle).await.is_err());
}

#[tokio::test]
async fn a_goodbye_arrives_although_its_hearer_is_sending() {
    let (mut server, mut client) = ends().await;
    let mut endless = Endless(Arc::default());
    let mut nowhere = tokio::io::sink();
    let sending = client.carry(&mut endless, &mut nowhere, ready(()));
    let leaving = async {
        let (_idle, mut nothing) = duplex(1);
        let mut nowhere = tokio::io::sink();
        let carry = server.carry(&mut nothing, &mut nowhere, ready(()));
        let _some = timeout(Duration::from_millis(20), carry).await;
        server
            .close(Goodbye::gone("alice-container is stopped"))
            .await;
    };
    let (end, ()) = tokio::join!(sending, leaving);
    let End::Closed(said) = end else {
        panic!("{end:?}")
    };
    assert_eq!(said, Goodbye::gone("alice-container is stopped"));
    assert!(!said.is_done());
}

#[tokio::test]
async fn what_was_said_before_the_other_direction_broke_arrives() {
    let (mut server, mut client) = ends().await;
    // A service that answers and hangs up without listening.
    let (mut inside, mut service) = duplex(1024);
    service.write_all(b"too many requests").await.unwrap();
    drop(service);
    let serve = async {
        let (mut reader, mut writer) = tokio::io::split(&mut inside);
        let end = server.carry(&mut reader, &mut writer, ready(())).await;
        server.close(Goodbye::broken("it hung up")).await;
        end
    };
    let mut endless = Endless(Arc::default());
    let mut answer = Vec::new();
    let ask = client.carry(&mut endless, &mut answer, ready(()));
    let (served, asked) = tokio::join!(serve, ask);
    assert!(matches!(served, End::Local(_)), "{served:?}");
    assert!(matches!(asked, End::Closed(_)), "{asked:?}");
    assert_eq!(answer, b"too many requests");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_of_a_tunnel_ends_it() {
    let long = Message::Binary(vec![0; (1 << 20) + 1].into());
    for bad in [Message::Text("hello".into()), long] {
        let (mut server, mut client) = bare().await;
        client.send(bad).await.unwrap();
        let (_idle, mut nothing) = duplex(1);
        let end = server
            .carry(&mut nothing, &mut tokio::io::sink(), ready(()))
            .await;
        assert!(matches!(end, End::Misused(_)), "{end:?}");
    }
    let (mut server, mut client) = bare().await;
    for data in ["", "more"] {
        client.send(Message::Binary(data.into())).await.unwrap();
    }
    let (_idle, mut nothing) = duplex(1);
    let end = server
        .carry(&mut nothing, &mut tokio::io::sink(), ready(()))
        .await;
    assert!(matches!(end, End::Misused(_)), "{end:?}");
}
