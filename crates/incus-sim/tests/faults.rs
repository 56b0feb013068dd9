//! What only the sim can do: faults on request, and guests that are a banner.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use containarium_incus::{
    Client, Error, InstancePost, NetworkPost, Source, StateChange, StoragePoolPost,
};
use containarium_incus_sim::{Fault, On, Sim};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const LONG: Duration = Duration::from_secs(10);

struct Bed {
    sim: Sim,
    incus: Client,
    address: String,
    _dir: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(dir.path()).unwrap();
        sim.add_image("base", &[]);
        let incus = Client::unix(sim.socket());
        let pool = StoragePoolPost {
            name: "p".into(),
            driver: "btrfs".into(),
            ..Default::default()
        };
        incus.create_storage_pool(&pool).await.unwrap();
        // Tests run at once, as processes or threads, and share 127.0.0.0/8.
        static COUNT: AtomicU32 = AtomicU32::new(2);
        let host = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let net = format!("127.{}.{}", 200 + process % 50, process / 50 % 256);
        let network = NetworkPost {
            name: "n".to_owned(),
            kind: "bridge".to_owned(),
            config: [("ipv4.address".to_owned(), format!("{net}.1/24"))].into(),
            ..NetworkPost::default()
        };
        incus.create_network(&network).await.unwrap();
        Self {
            sim,
            incus,
            address: format!("{net}.{host}"),
            _dir: dir,
        }
    }

    fn post(&self) -> InstancePost {
        let map = |text: &str| {
            let pair = |pair: &str| {
                let (key, value) = pair.split_once('=').unwrap();
                (key.to_owned(), value.to_owned())
            };
            text.split(' ').map(pair).collect()
        };
        let nic = format!("type=nic name=eth0 network=n ipv4.address={}", self.address);
        InstancePost {
            start: true,
            devices: [
                ("root".to_owned(), map("type=disk path=/ pool=p")),
                ("eth0".to_owned(), map(&nic)),
            ]
            .into(),
            ..InstancePost::new("a1", Source::alias("base"))
        }
    }

    async fn create(&self) -> Result<(), Error> {
        let begun = self.incus.create_instance(&self.post()).await?;
        self.incus.wait(&begun, LONG).await.map(drop)
    }

    async fn change(&self, change: StateChange) -> Result<(), Error> {
        let begun = self.incus.change_state("a1", &change).await?;
        self.incus.wait(&begun, LONG).await.map(drop)
    }

    async fn running(&self) -> bool {
        self.incus
            .instance("a1")
            .await
            .unwrap()
            .value
            .status_code
            .is_running()
    }

    async fn banner(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((self.address.as_str(), 22)).await?;
        let mut banner = vec![0; 13];
        stream.read_exact(&mut banner).await?;
        Ok(String::from_utf8_lossy(&banner).into_owned())
    }
}

fn boom() -> (u16, String) {
    (500, "boom".to_owned())
}

#[tokio::test]
async fn a_running_instance_greets_and_a_stopped_one_does_not() {
    let bed = Bed::new().await;
    bed.create().await.unwrap();
    assert_eq!(bed.banner().await.unwrap(), "SSH-2.0-sim\r\n");
    bed.change(StateChange::restart(LONG)).await.unwrap();
    assert_eq!(bed.banner().await.unwrap(), "SSH-2.0-sim\r\n");
    bed.change(StateChange::kill()).await.unwrap();
    assert!(bed.banner().await.is_err());
    bed.change(StateChange::start()).await.unwrap();
    bed.banner().await.unwrap();
}

#[tokio::test]
async fn a_request_can_be_refused_once() {
    let bed = Bed::new().await;
    let (code, text) = boom();
    bed.sim.fail_next(On::Create, Fault::Refuse { code, text });
    let error = bed.incus.create_instance(&bed.post()).await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { code: 500, .. }),
        "{error:?}"
    );
    bed.create().await.unwrap();
}

#[tokio::test]
async fn an_operation_can_fail_late() {
    let bed = Bed::new().await;
    let (code, text) = boom();
    bed.sim.fail_next(
        On::Create,
        Fault::FailLate {
            code,
            text: text.clone(),
        },
    );
    let error = bed.create().await.unwrap_err();
    assert!(matches!(error, Error::OperationFailed(_)), "{error:?}");
    assert!(bed.incus.instances().await.unwrap().is_empty());
    bed.create().await.unwrap();
    bed.sim
        .fail_next(On::ChangeState, Fault::FailLate { code, text });
    let error = bed.change(StateChange::kill()).await.unwrap_err();
    assert!(matches!(error, Error::OperationFailed(_)), "{error:?}");
    assert!(bed.running().await);
}

#[tokio::test]
async fn a_start_can_fail_and_leave_the_instance() {
    let bed = Bed::new().await;
    let (code, text) = boom();
    bed.sim
        .fail_next(On::Create, Fault::FailStart { code, text });
    assert!(bed.create().await.is_err());
    assert!(!bed.running().await);
}

#[tokio::test]
async fn a_guest_can_die_after_its_start_or_later() {
    let bed = Bed::new().await;
    bed.sim.fail_next(
        On::Create,
        Fault::DieAfterStart {
            console: "Exiting PID 1".to_owned(),
        },
    );
    bed.create().await.unwrap();
    assert!(!bed.running().await);
    assert_eq!(bed.incus.console_log("a1").await.unwrap(), "Exiting PID 1");
    bed.change(StateChange::start()).await.unwrap();
    bed.sim.kill_guest("default", "a1", "out of memory\n");
    assert!(!bed.running().await);
    assert!(
        bed.incus
            .console_log("a1")
            .await
            .unwrap()
            .ends_with("out of memory\n")
    );
}

#[tokio::test]
async fn an_answer_can_break_off_after_the_effect() {
    let bed = Bed::new().await;
    bed.sim.fail_next(On::Create, Fault::CutAnswer);
    let error = bed.incus.create_instance(&bed.post()).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    let end = std::time::Instant::now() + LONG;
    while !bed.running().await {
        assert!(std::time::Instant::now() < end, "it was not started");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hung_sim_says_nothing_and_then_goes_on() {
    let bed = Bed::new().await;
    bed.sim.hang(true);
    let asked = bed.incus.server();
    tokio::pin!(asked);
    let silence = tokio::time::timeout(Duration::from_millis(50), &mut asked).await;
    assert!(silence.is_err(), "{silence:?}");
    bed.sim.hang(false);
    asked.await.unwrap();
}

#[tokio::test]
async fn a_forgotten_operation_goes_on_unseen() {
    let bed = Bed::new().await;
    bed.sim.set_latency(Duration::from_millis(50));
    let begun = bed.incus.create_instance(&bed.post()).await.unwrap();
    let busy = bed.incus.delete_instance("a1").await.unwrap();
    let busy = bed.incus.wait(&busy, LONG).await.unwrap_err();
    assert!(matches!(busy, Error::Busy(_)), "{busy:?}");
    let forget = async { bed.sim.forget_operations() };
    let (waited, ()) = tokio::join!(bed.incus.wait(&begun, LONG), forget);
    assert!(
        matches!(waited, Err(Error::OperationVanished(_))),
        "{waited:?}"
    );
    let end = std::time::Instant::now() + LONG;
    while !bed.running().await {
        assert!(std::time::Instant::now() < end, "it was not started");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_dropped_sim_frees_its_socket_and_addresses() {
    let bed = Bed::new().await;
    bed.create().await.unwrap();
    let Bed {
        sim, incus, _dir, ..
    } = bed;
    drop(sim);
    let error = incus.server().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    Sim::start(_dir.path()).unwrap();
}
