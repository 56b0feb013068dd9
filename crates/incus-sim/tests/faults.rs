//! What only the sim can do: faults on request, and guests that are a banner.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use containarium_incus::{
    Client, Error, EventType, Happened, InstancePost, NetworkPost, Source, StateChange,
    StoragePoolPost,
};
use containarium_incus_sim::{Fault, On, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        let gateway = sim.gateway().to_string();
        let network = NetworkPost {
            name: "n".to_owned(),
            kind: "bridge".to_owned(),
            config: [("ipv4.address".to_owned(), format!("{gateway}/16"))].into(),
            ..NetworkPost::default()
        };
        incus.create_network(&network).await.unwrap();
        Self {
            sim,
            incus,
            address: gateway.replace(".0.1", ".0.2"),
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
        let mut stream = TcpStream::connect((self.address.as_str(), Sim::SSH_PORT)).await?;
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

#[tokio::test]
async fn what_happened_can_be_told_before_the_answer() {
    let bed = Bed::new().await;
    let types = [EventType::Lifecycle, EventType::Operation];
    let mut events = bed.incus.events(&types).await.unwrap();
    bed.sim.fail_next(On::Create, Fault::AnswerLast);
    bed.sim.set_latency(Duration::from_millis(20));
    let asked = {
        let (incus, post) = (bed.incus.clone(), bed.post());
        tokio::spawn(async move { incus.create_instance(&post).await })
    };
    let mut told = Vec::new();
    let ended = loop {
        match tokio::time::timeout(LONG, events.next())
            .await
            .unwrap()
            .unwrap()
            .happened
        {
            Happened::Lifecycle(done) => told.push(done.action),
            Happened::Operation(moved) if moved.status_code.is_final() => break moved,
            Happened::Operation(_) | Happened::Other(_) => {}
        }
    };
    assert_eq!(told, ["instance-created", "instance-started"]);
    // The answer says of an operation that has ended that it is under way.
    let begun = asked.await.unwrap().unwrap();
    assert!(begun.id == ended.id && !begun.status_code.is_final());
    bed.incus.wait(&begun, LONG).await.unwrap();
}

#[tokio::test]
async fn a_guest_that_dies_is_told() {
    let bed = Bed::new().await;
    bed.create().await.unwrap();
    let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
    bed.sim.kill_guest("default", "a1", "out of memory\n");
    let event = tokio::time::timeout(LONG, events.next())
        .await
        .unwrap()
        .unwrap();
    let Happened::Lifecycle(told) = &event.happened else {
        panic!("{event:?}")
    };
    assert_eq!(
        (told.action.as_str(), told.name.as_str()),
        ("instance-shutdown", "a1")
    );
}

#[tokio::test]
async fn a_listener_learns_that_the_sim_has_ended() {
    let bed = Bed::new().await;
    let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
    drop(bed.sim);
    let gone = tokio::time::timeout(LONG, events.next())
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(gone, Error::Protocol(_)), "{gone:?}");
}

/// As OpenSSH would: it is told why there is no login, and does not wait for one.
#[tokio::test]
async fn who_wants_to_log_in_is_told_why_not() {
    let bed = Bed::new().await;
    bed.create().await.unwrap();
    let mut stream = TcpStream::connect((bed.address.as_str(), Sim::SSH_PORT))
        .await
        .unwrap();
    stream.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    let mut banner = [0; 13];
    stream.read_exact(&mut banner).await.unwrap();
    let length = stream.read_u32().await.unwrap() as usize;
    assert_eq!((length + 4) % 8, 0, "a packet is a multiple of 8 bytes");
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await.unwrap();
    // Padding length, SSH_MSG_DISCONNECT, by application.
    assert_eq!(packet[1..6], [1, 0, 0, 0, 11]);
    let text = String::from_utf8_lossy(&packet);
    assert!(text.contains("SIMULATED: there is no machine"), "{text}");
}

#[tokio::test]
async fn a_crash_breaks_every_connection_and_forgets_what_was_under_way() {
    let bed = Bed::new().await;
    bed.create().await.unwrap();
    let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
    bed.sim.set_latency(LONG);
    let post = InstancePost {
        devices: [("root".to_owned(), bed.post().devices["root"].clone())].into(),
        ..InstancePost::new("b1", Source::alias("base"))
    };
    let begun = bed.incus.create_instance(&post).await.unwrap();
    let under_way = bed.incus.operations().await.unwrap();
    assert_eq!(under_way.len(), 1, "{under_way:?}");
    assert!(under_way[0].instances().eq(["b1".to_owned()]));
    let waits = {
        let (incus, begun) = (bed.incus.clone(), begun.clone());
        tokio::spawn(async move { incus.wait(&begun, LONG).await })
    };
    bed.sim.crash().await;
    let error = waits.await.unwrap().unwrap_err();
    assert!(
        error.outcome_unknown() || matches!(error, Error::Unreachable { .. }),
        "{error:?}"
    );
    while let Ok(event) = events.next().await {
        let Happened::Lifecycle(told) = event.happened else {
            panic!("{event:?}")
        };
        assert_eq!(told.name, "b1");
    }
    let error = bed.incus.server().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(
        bed.banner().await.unwrap(),
        "SSH-2.0-sim\r\n",
        "guests go on"
    );

    bed.sim.set_latency(Duration::ZERO);
    bed.sim.restart().unwrap();
    assert!(bed.running().await);
    assert!(
        bed.incus
            .operation(&begun.id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(bed.incus.operations().await.unwrap().is_empty());
    bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
}

#[tokio::test]
async fn a_sim_that_hangs_can_be_killed_and_runs_again() {
    let bed = Bed::new().await;
    bed.sim.hang(true);
    let asked = {
        let (incus, post) = (bed.incus.clone(), bed.post());
        tokio::spawn(async move { incus.create_instance(&post).await })
    };
    tokio::task::yield_now().await;
    bed.sim.crash().await;
    assert!(asked.await.unwrap().is_err());
    bed.sim.restart().unwrap();
    assert!(bed.incus.instances().await.unwrap().is_empty());
    bed.create().await.unwrap();
}

#[tokio::test]
async fn a_sim_that_hangs_finishes_nothing_and_tells_nothing() {
    let bed = Bed::new().await;
    let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
    let heard = events.heard();
    bed.sim.set_latency(Duration::from_millis(20));
    let begun = bed.incus.create_instance(&bed.post()).await.unwrap();
    bed.sim.hang(true);
    let before = heard.at();
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(100), events.next()).await {
        told.push(event.unwrap());
    }
    // What was on its way may still come, and no start.
    assert!(told.len() <= 1, "{told:?}");
    assert!(told.is_empty() || heard.at() > before);
    bed.sim.hang(false);
    bed.incus.wait(&begun, LONG).await.unwrap();
    assert!(bed.running().await);
}

#[tokio::test]
async fn one_instance_can_be_slower_than_the_others() {
    let bed = Bed::new().await;
    bed.sim.set_latency_of("a1", LONG);
    let slow = bed.incus.create_instance(&bed.post()).await.unwrap();
    let mut other = bed.post();
    other.name = "b1".to_owned();
    other.devices.remove("eth0");
    let quick = bed.incus.create_instance(&other).await.unwrap();
    bed.incus.wait(&quick, LONG / 2).await.unwrap();
    assert!(
        !bed.incus
            .operation(&slow.id)
            .await
            .unwrap()
            .status_code
            .is_final()
    );
}

#[tokio::test]
async fn a_full_pool_takes_nothing_and_keeps_nothing() {
    let bed = Bed::new().await;
    bed.sim.fill(true);
    let error = bed.create().await.unwrap_err();
    assert!(matches!(error, Error::NoSpace(_)), "{error:?}");
    assert!(bed.incus.instances().await.unwrap().is_empty());
    bed.sim.fill(false);
    bed.sim.fail_next(On::Create, Fault::no_space());
    let error = bed.create().await.unwrap_err();
    assert!(matches!(error, Error::NoSpace(_)), "{error:?}");
    bed.create().await.unwrap();
}

#[tokio::test]
async fn a_muted_guest_runs_and_does_not_listen() {
    let bed = Bed::new().await;
    bed.sim.mute_guests(true);
    bed.create().await.unwrap();
    assert!(bed.running().await);
    assert!(bed.banner().await.is_err());
}
