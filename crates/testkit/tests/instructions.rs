//! Hot paths, one a test. `scripts/instructions` runs each under callgrind, optimised and with a thousand
//! containers, and counts the instructions within [`counted`]; here, with a few, they are ordinary tests.
//! The planner's is in `crates/core/src/reconcile/plan/tests.rs`.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{future::poll_fn, hint::black_box, pin::pin, task::Poll, time::Duration};

use containarium_contract::{AdoptContainers, GetContainer, ListContainers, Username};
use containarium_core::{Containarium, Principal, Role, Settings, Store, token};
use containarium_testkit::{Simulated, make_empties};
use ulid::Ulid;

/// What is done in here is counted: the script tells callgrind its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) -> u8 {
    work();
    // Something after it, or the call of `work` would be a jump out of here.
    black_box(1)
}

/// Does it, and counts what is done on this thread in its own name: no other task, no waiting.
async fn counting<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let mut done = Poll::Pending;
        counted(&mut || done = work.as_mut().poll(context));
        done
    })
    .await
}

fn many() -> u32 {
    let many = std::env::var("CONTAINARIUM_TEST_MANY");
    many.map_or(20, |text| text.parse().unwrap())
}

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

/// An installation with so many empty instances; each test has a subnet of its own.
async fn filled(subnet: u8) -> Simulated {
    let there = Simulated::on(subnet).await;
    let store = Store::open(there.state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.uid_ranges = many() + 1000;
    store.set_installation(&installation).await.unwrap();
    make_empties(&there.incus, &installation, many()).await;
    there
}

/// A core that knows them.
async fn core(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    let ask = AdoptContainers {
        instances: Vec::new(),
        all: true,
    };
    let adopted = core.adopt(&admin(), ask).await.unwrap();
    assert_eq!(adopted.adopted.len(), many() as usize);
    core
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_all_in_the_core() {
    let there = filled(211).await;
    let core = core(&there).await;
    let who = admin();
    for _ in 0..10 {
        let list = counting(core.list(&who, ListContainers::default())).await;
        assert_eq!(list.unwrap().containers.len(), many() as usize);
    }
    core.close(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_in_the_core() {
    let there = filled(212).await;
    let core = core(&there).await;
    let (who, username): (_, Username) = (admin(), "e7".parse().unwrap());
    // So many that what the core does once after its start is little of it.
    for _ in 0..2000 {
        let username = username.clone();
        let got = counting(core.get(&who, GetContainer { username })).await;
        assert_eq!(got.unwrap().container.username.as_str(), "e7");
    }
    core.close(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_the_engines_is_read() {
    let there = filled(213).await;
    for _ in 0..3 {
        let name = |instance: containarium_incus::Instance| Some(instance.name);
        let names = counting(there.incus.each_instance(name)).await.unwrap();
        assert_eq!(names.len(), many() as usize);
    }
}

#[test]
fn a_token_is_verified() {
    let secret = b"a secret of thirty-two bytes or more".to_vec().into();
    let day = Duration::from_secs(24 * 3600);
    let token = token::mint(&secret, &admin(), 1_000_000, day, Ulid::generate()).unwrap();
    for _ in 0..100 {
        let mut claims = None;
        counted(&mut || claims = token::verify(&secret, &token, 1_000_001).ok());
        assert_eq!(claims.unwrap().principal().unwrap(), admin());
    }
}
