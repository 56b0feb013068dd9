//! Containers without anything in them, made past the daemon: a thousand cost little, and are the
//! installation's once they are adopted.

use std::{net::Ipv4Addr, ops::Range, sync::Arc, time::Duration};

use containarium_core::Installation;
use containarium_incus::{Client, InstancePost, Source};
use tokio::{sync::Semaphore, task::JoinSet};
use ulid::Ulid;

/// Ids of the host that one container has.
const UIDS: u32 = 65_536;
/// At a time.
const WORKERS: usize = 8;
/// How long one may take.
const LONG: Duration = Duration::from_secs(120);

/// What would be made for the container number `n` of the user `eN`, as its create would have tagged
/// it, with nothing in it and stopped. Its address is `n` after `from`.
pub fn empty(installation: &Installation, n: u32) -> InstancePost {
    let id = Ulid::generate().to_string().to_lowercase();
    let subnet =
        u32::from(installation.gateway) & (u32::MAX << (32 - u32::from(installation.prefix)));
    let address = Ipv4Addr::from(subnet + 16 + n);
    let [_, b, c, d] = address.octets();
    let tag = |key: &str, value: String| (format!("user.containarium.{key}"), value);
    let mut post = InstancePost::new(format!("c-{id}"), Source::None);
    post.config = [
        tag("install", installation.id.clone()),
        tag("id", id),
        tag("phase", "ready".into()),
        tag("username", format!("e{n}")),
        tag("owner", format!("owner-{}", n % 10)),
        tag("cpu", "1".into()),
        tag("memory", "512MiB".into()),
        tag("disk", "3GB".into()),
        tag("image", installation.default_image.to_string()),
        tag("docker", "false".into()),
        tag("created", "1760000000".into()),
        tag("ssh_keys", String::new()),
        tag("label.tenth", (n % 10).to_string()),
        ("limits.cpu".into(), "1".into()),
        ("limits.memory".into(), "512MiB".into()),
        ("security.idmap.isolated".into(), "true".into()),
        ("security.idmap.size".into(), UIDS.to_string()),
        (
            "security.idmap.base".into(),
            (installation.uid_first + n * UIDS).to_string(),
        ),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect();
    let device = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    };
    let mac = format!("10:66:6a:{b:02x}:{c:02x}:{d:02x}");
    post.devices = [
        (
            "root".into(),
            device(&[
                ("type", "disk"),
                ("path", "/"),
                ("pool", &installation.pool),
            ]),
        ),
        (
            "eth0".into(),
            device(&[
                ("type", "nic"),
                ("name", "eth0"),
                ("network", &installation.name),
                ("hwaddr", &mac),
                ("ipv4.address", &address.to_string()),
            ]),
        ),
    ]
    .into();
    post
}

/// Makes so many of them; answers with their names.
pub async fn make_empties(incus: &Client, installation: &Installation, many: u32) -> Vec<String> {
    make_empties_of(incus, installation, 0..many).await
}

/// Makes those of these numbers; answers with their names.
pub async fn make_empties_of(
    incus: &Client,
    installation: &Installation,
    numbers: Range<u32>,
) -> Vec<String> {
    let posts: Vec<InstancePost> = numbers.map(|n| empty(installation, n)).collect();
    let names = posts.iter().map(|post| post.name.clone()).collect();
    in_parallel(posts, |post| {
        let incus = incus.clone();
        async move {
            let operation = incus.create_instance(&post).await.unwrap();
            incus.wait(&operation, LONG).await.unwrap();
        }
    })
    .await;
    names
}

/// Removes them.
pub async fn remove_empties(incus: &Client, names: Vec<String>) {
    in_parallel(names, |name| {
        let incus = incus.clone();
        async move {
            let operation = incus.delete_instance(&name).await.unwrap();
            incus.wait(&operation, LONG).await.unwrap();
        }
    })
    .await;
}

async fn in_parallel<T, F: Future<Output = ()> + Send + 'static>(
    all: Vec<T>,
    work: impl Fn(T) -> F,
) {
    let places = Arc::new(Semaphore::new(WORKERS));
    let mut tasks = JoinSet::new();
    for one in all {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let work = work(one);
        tasks.spawn(async move {
            work.await;
            drop(place);
        });
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
