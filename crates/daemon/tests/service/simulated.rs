//! Nobody takes a simulation for something real, nor the other way round.

use containarium_contract::{HostEngine, StreamKind};
use containarium_core::{Installation, Store};
use containarium_daemon::specs;
use containarium_testkit::{Simulated, TestDaemon};

use crate::{installed::Installed, sample::sample};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_simulation_says_that_it_is_one() {
    let here = Installed::new(222).await.with_alice().await;
    let admin = here.daemon.admin_token();
    let mut asked = vec![
        ("GET".to_owned(), "/health".to_owned(), None),
        ("GET".to_owned(), "/ready".to_owned(), None),
        ("GET".to_owned(), "/nosuch".to_owned(), None),
        ("PATCH".to_owned(), "/v1/containers".to_owned(), None),
    ];
    // A stream of events does not end, and its head is as any other's.
    let specs = specs();
    let ending = specs
        .iter()
        .filter(|spec| spec.stream != Some(StreamKind::Events));
    asked.extend(ending.map(|spec| {
        let sample = sample(spec, "alice");
        (sample.method, sample.path, sample.body)
    }));
    for (method, path, body) in asked {
        for token in [Some(admin.as_str()), None] {
            let answer = here
                .daemon
                .ask(&method, &path, token, body.as_deref())
                .await;
            let engine = answer.header(HostEngine::HEADER);
            assert_eq!(engine, Some("sim"), "{method} {path}: {answer:?}");
        }
    }
    let info = here
        .daemon
        .ask_as_admin("GET", "/v1/system/info", None)
        .await;
    assert_eq!(info.json()["info"]["engine"], "sim");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_none_says_nothing_of_it() {
    let there = Simulated::on(223).await;
    let store = Store::open(there.state.path()).unwrap();
    let installation = Installation {
        simulated: false,
        ..store.installation().await.unwrap()
    };
    store.set_installation(&installation).await.unwrap();
    let daemon = TestDaemon::with(there.state.clone(), there.sim.socket()).await;
    let info = daemon.ask_as_admin("GET", "/v1/system/info", None).await;
    assert_eq!(info.header(HostEngine::HEADER), None);
    assert_eq!(info.json()["info"]["engine"], "ok");
}
