//! Tunnels into containers on an incusd in memory: who may have one, and how each of them ends.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use containarium_client::{CallError, Client, Token, Tunnel, TunnelEnded};
use containarium_contract::{Face, OpenTunnel};
use containarium_core::Role;
use containarium_incus_sim::{Fault, On};
use containarium_testkit::{Simulated, TestDaemon, wait_for};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(20);

/// A daemon with one container, which is alice's.
struct Bed {
    daemon: TestDaemon,
    there: Simulated,
    address: String,
}

/// `subnet` keeps tests that run side by side apart: 127.`subnet`.0.0/16.
async fn bed(subnet: u8) -> Bed {
    let there = Simulated::on(subnet).await;
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let alice = Some(json!({"username": "alice"}));
    let made = daemon.ask_as_admin("POST", "/v1/containers", alice).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["sshCommandRemote"], "containarium ssh alice");
    let address = made.json()["container"]["network"]["ipAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    Bed {
        daemon,
        there,
        address,
    }
}

fn to(fields: Value) -> OpenTunnel {
    serde_json::from_value(fields).unwrap()
}

fn alices(port: u16) -> OpenTunnel {
    to(json!({"username": "alice", "port": port}))
}

/// A tunnel being carried, and our end of what goes through it.
struct Open {
    near: DuplexStream,
    ended: JoinHandle<Result<(), TunnelEnded>>,
}

fn carried(tunnel: Tunnel) -> Open {
    let (near, far) = duplex(1024);
    let ended = tokio::spawn(async move {
        let (mut reader, mut writer) = split(far);
        tunnel.carry(&mut reader, &mut writer).await
    });
    Open { near, ended }
}

impl Open {
    /// The words of an end that comes soon, and how long it took.
    async fn words(self) -> String {
        // It stays open at our end.
        let _near = self.near;
        let ended = timeout(SOON, self.ended).await.unwrap().unwrap();
        ended.unwrap_err().to_string()
    }
}

impl Bed {
    async fn open(&self, client: &Client, port: u16) -> Open {
        carried(client.open_tunnel(&alices(port)).await.unwrap())
    }

    /// A program in the container, listening.
    async fn program(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind((self.address.as_str(), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// A tunnel of an admin to a program that has taken its connection.
    async fn reached(&self) -> (Open, TcpStream) {
        let (listener, port) = self.program().await;
        let open = self.open(&self.daemon.admin(), port).await;
        let (stream, _) = listener.accept().await.unwrap();
        (open, stream)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) {
        let answer = self.daemon.ask_as_admin(method, path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn refused(tunnel: Result<Tunnel, CallError>) -> (u16, String, String) {
    match tunnel.map(|_| ()).unwrap_err() {
        CallError::Api {
            problem: Some(problem),
            ..
        } => (
            problem.code,
            problem.error,
            problem.hint.unwrap_or_default(),
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_is_at_the_other_end_unless_a_port_is_named() {
    let bed = bed(151).await;
    let alice = bed.daemon.client_of("alice", &[Role::User]);
    let tunnel = alice
        .open_tunnel(&to(json!({"username": "alice"})))
        .await
        .unwrap();
    assert!(tunnel.created_at().unwrap() > 1_700_000_000);
    let mut open = carried(tunnel);
    let mut banner = [0; 4];
    open.near.read_exact(&mut banner).await.unwrap();
    assert_eq!(&banner, b"SSH-");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_carry_what_they_are_given_and_end_one_by_one() {
    let bed = bed(152).await;
    let (open, mut inside) = bed.reached().await;
    let counts = tokio::spawn(async move {
        let mut asked = Vec::new();
        inside.read_to_end(&mut asked).await.unwrap();
        inside
            .write_all(asked.len().to_string().as_bytes())
            .await
            .unwrap();
    });
    let Open { mut near, ended } = open;
    near.write_all(&vec![7; 8 << 20]).await.unwrap();
    near.shutdown().await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, (8 << 20).to_string());
    timeout(SOON, ended).await.unwrap().unwrap().unwrap();
    counts.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_stops_whoever_writes() {
    let bed = bed(153).await;
    let (open, mut inside) = bed.reached().await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let writing = tokio::spawn(async move {
        let chunk = vec![7; 64 << 10];
        while inside.write_all(&chunk).await.is_ok() {
            count.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    });
    // It stops: nothing more is written for a second. What is on the way fills the buffers of two
    // TCP connections, a few MB each, and no more of ours than some hundred KiB.
    let mut before = 0;
    wait_for(SOON, "the writer stands still", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = written.load(Ordering::Relaxed);
        let still = now > 0 && now == before;
        before = now;
        if still { Ok(()) } else { Err(now) }
    })
    .await;
    assert!(before < 32 << 20, "{before} bytes are under way");
    // And it goes on where it stopped.
    let Open { mut near, .. } = open;
    let mut taken = vec![0; before + (4 << 20)];
    timeout(SOON, near.read_exact(&mut taken))
        .await
        .unwrap()
        .unwrap();
    assert!(taken.iter().all(|byte| *byte == 7));
    drop(near);
    timeout(SOON, writing).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_admins_may_and_nobody_else() {
    let bed = bed(154).await;
    for (subject, role, status) in [
        ("mallory", Role::User, 404),
        ("eve", Role::Viewer, 403),
        ("alice", Role::Viewer, 403),
    ] {
        let client = bed.daemon.client_of(subject, &[role]);
        let (code, ..) = refused(client.open_tunnel(&alices(22)).await);
        assert_eq!(code, status, "{subject} as {role}");
    }
    let nobody = Client::new(&bed.daemon.url, Token::fixed("eyJ"), Face::Cli).unwrap();
    let (code, sentence, _) = refused(nobody.open_tunnel(&alices(22)).await);
    assert_eq!((code, sentence.as_str()), (401, "invalid token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nothing_listens_and_a_container_that_is_stopped_say_so_before_it_begins() {
    let bed = bed(155).await;
    let admin = bed.daemon.admin();
    let (listener, port) = bed.program().await;
    drop(listener);
    let told = refused(admin.open_tunnel(&alices(port)).await);
    assert_eq!(told.0, 409);
    assert_eq!(
        told.1,
        format!("nothing listens on port {port} of alice-container")
    );
    assert!(told.2.contains(&format!("0.0.0.0:{port}")), "{told:?}");
    bed.ask("POST", "/v1/containers/alice/stop", None).await;
    let told = refused(admin.open_tunnel(&alices(22)).await);
    let wanted = (
        409,
        "alice-container is not running".to_owned(),
        "POST /v1/containers/alice/start".to_owned(),
    );
    assert_eq!(told, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_in_words_when_its_container_is_stopped_and_a_new_one_works_after_its_start()
{
    let bed = bed(156).await;
    let (open, _inside) = bed.reached().await;
    let login = bed.open(&bed.daemon.admin(), 22).await;
    bed.ask("POST", "/v1/containers/alice/stop", None).await;
    assert_eq!(open.words().await, "alice-container is stopped");
    // sshd hung up in the course of it; that is not passed on as an end of its own.
    assert_eq!(login.words().await, "alice-container is stopped");
    bed.ask("POST", "/v1/containers/alice/start", None).await;
    let mut again = bed.open(&bed.daemon.admin(), 22).await;
    let mut banner = [0; 4];
    again.near.read_exact(&mut banner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_in_words_when_its_container_is_deleted() {
    let bed = bed(157).await;
    let (open, _inside) = bed.reached().await;
    bed.ask("DELETE", "/v1/containers/alice?force=true", None)
        .await;
    assert_eq!(open.words().await, "alice-container is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_fails_leaves_its_tunnels() {
    let bed = bed(158).await;
    let (mut open, mut inside) = bed.reached().await;
    let fails = Fault::FailLate {
        code: 500,
        text: "not empty".into(),
    };
    bed.there.sim.fail_next(On::ChangeState, fails);
    let path = "/v1/containers/alice?force=true";
    let answer = bed.daemon.ask_as_admin("DELETE", path, None).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    inside.write_all(b"still").await.unwrap();
    let mut heard = [0; 5];
    open.near.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_with_its_token() {
    let bed = bed(159).await;
    let (_listener, port) = bed.program().await;
    let life = Duration::from_secs(2);
    let token = bed.daemon.token_for("alice", &[Role::User], life);
    let alice = Client::new(&bed.daemon.url, Token::fixed(&token), Face::Cli).unwrap();
    let begun = Instant::now();
    let open = bed.open(&alice, port).await;
    assert_eq!(open.words().await, "the token has expired");
    assert!(
        begun.elapsed() < life + Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_ends_its_tunnels_in_words_and_does_not_wait_for_them() {
    let bed = bed(160).await;
    let (open, _inside) = bed.reached().await;
    let begun = Instant::now();
    bed.daemon.stopped().await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(open.words().await, "the daemon stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_breaks_its_connection_breaks_the_tunnel() {
    let bed = bed(161).await;
    let (open, inside) = bed.reached().await;
    // A reset, and no end of data.
    inside.set_zero_linger().unwrap();
    drop(inside);
    let words = open.words().await;
    assert!(
        words.starts_with("the connection in the container broke: "),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_is_told_to_the_program() {
    let bed = bed(162).await;
    let (open, mut inside) = bed.reached().await;
    open.ended.abort();
    let end = timeout(SOON, inside.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_container_cannot_have_all_the_tunnels_and_they_leave_the_api_its_places() {
    let bed = bed(163).await;
    let admin = bed.daemon.admin();
    let (_listener, port) = bed.program().await;
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(admin.open_tunnel(&alices(port)).await.unwrap());
    }
    let (code, sentence, _) = refused(admin.open_tunnel(&alices(port)).await);
    assert_eq!(code, 429);
    assert_eq!(sentence, "128 tunnels are open, and no more can be");
    bed.ask("GET", "/v1/containers/alice", None).await;
    open.pop();
    wait_for(SOON, "a place is free again", async || {
        admin
            .open_tunnel(&alices(port))
            .await
            .map_err(|e| e.to_string())
    })
    .await;
}
