//! Thousands of instances: the sim must not be what is slow. `CONTAINARIUM_TEST_MANY=10000` for as many as
//! are promised; by default fewer, for machines that are busy.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, Instant};

use containarium_incus::{
    Client, InstancePatch, InstancePost, NetworkPost, Source, StateChange, StoragePoolPost,
};
use containarium_incus_sim::Sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// How many where nothing is said.
const SOME: u32 = 2_000;
const LONG: Duration = Duration::from_secs(60);
/// Requests under way at once.
const WIDE: usize = 64;

/// As large as one of an installation's.
fn post(number: u32, gateway: &str) -> InstancePost {
    let map = |pairs: &[(&str, &str)]| {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    };
    let [a, b, ..] = *gateway.split('.').collect::<Vec<_>>() else {
        panic!("{gateway}")
    };
    let address = format!("{a}.{b}.{}.{}", 1 + number / 250, 2 + number % 250);
    let tags: Vec<(String, String)> = (0..8)
        .map(|n| (format!("user.containarium.tag{n}"), "x".repeat(120)))
        .collect();
    InstancePost {
        config: tags.into_iter().collect(),
        devices: [
            (
                "root".to_owned(),
                map(&[("type", "disk"), ("path", "/"), ("pool", "p")]),
            ),
            (
                "eth0".to_owned(),
                map(&[
                    ("type", "nic"),
                    ("network", "n"),
                    ("ipv4.address", &address),
                ]),
            ),
        ]
        .into(),
        ..InstancePost::new(format!("c{number:05}"), Source::alias("base"))
    }
}

fn many() -> u32 {
    let many = std::env::var("CONTAINARIUM_TEST_MANY");
    many.map_or(SOME, |many| many.parse().unwrap())
}

/// Does it for each, several at once.
async fn each<F: Future<Output = ()> + Send + 'static>(what: impl Fn(u32) -> F) -> Duration {
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for number in 0..many() {
        if under_way.len() == WIDE {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(what(number));
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_instances_are_made_listed_changed_and_started() {
    let dir = tempfile::tempdir().unwrap();
    let sim = Sim::start(dir.path()).unwrap();
    sim.add_image("base", &[]);
    sim.mute_guests(true);
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

    let made = each(|number| {
        let (incus, post) = (incus.clone(), post(number, &gateway));
        async move {
            let begun = incus.create_instance(&post).await.unwrap();
            incus.wait(&begun, LONG).await.unwrap();
        }
    })
    .await;
    let listed = list(&incus).await;
    let again = list(&incus).await;
    let answered = answer(&sim).await;
    let changed = each(|number| {
        let (incus, name) = (incus.clone(), format!("c{number:05}"));
        let patch = InstancePatch {
            config: [("user.phase".to_owned(), "ready".to_owned())].into(),
            ..InstancePatch::default()
        };
        async move { incus.patch_instance(&name, &patch).await.unwrap() }
    })
    .await;
    let started = each(|number| {
        let (incus, name) = (incus.clone(), format!("c{number:05}"));
        async move {
            let start = StateChange::start();
            let begun = incus.change_state(&name, &start).await.unwrap();
            incus.wait(&begun, LONG).await.unwrap();
        }
    })
    .await;
    let anew = list(&incus).await;
    let running = incus.instances().await.unwrap();
    assert!(running.iter().all(|one| one.status_code.is_running()));
    println!(
        "made {made:?}, listed {listed:?}, again {again:?}, of which the sim {answered:?}, changed {changed:?}, started {started:?}, listed \
         anew {anew:?}"
    );
    // 0.1 ms each, which is what an incusd takes; what costs the square of them costs seconds.
    assert!(
        answered < many() * Duration::from_micros(100),
        "{answered:?}"
    );
}

/// How long the sim takes for the list alone.
async fn answer(sim: &Sim) -> Duration {
    let begun = Instant::now();
    let mut stream = UnixStream::connect(sim.socket()).await.unwrap();
    let request = b"GET /1.0/instances?recursion=1 HTTP/1.0\r\nHost: incus\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert!(all.len() > 1_000 * many() as usize);
    begun.elapsed()
}

async fn list(incus: &Client) -> Duration {
    let begun = Instant::now();
    let all = incus.instances().await.unwrap();
    assert_eq!(all.len(), many() as usize);
    begun.elapsed()
}
