//! Whom a question waits for, on an incusd in memory.

use std::sync::atomic::{AtomicU32, Ordering};

use containarium_testkit::{Simulated, wait_for};
use tokio::{sync::Semaphore, time::sleep};

use super::*;
use crate::{Settings, Store};

const SOON: Duration = Duration::from_secs(20);

async fn opened(there: &Simulated) -> Containarium {
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default());
    core.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_once_at_a_time_and_those_who_come_later_get_a_newer_answer() {
    let there = Simulated::on(133).await;
    let core = opened(&there).await;
    let question = Question::<u32>::default();
    let asks = Arc::new(AtomicU32::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let asked = || {
        let (core, question) = (core.clone(), question.clone());
        let (asks, gate) = (Arc::clone(&asks), Arc::clone(&gate));
        tokio::spawn(async move {
            let ask = |_: Containarium| {
                let (asks, gate) = (Arc::clone(&asks), Arc::clone(&gate));
                async move {
                    let this = asks.fetch_add(1, Ordering::Relaxed) + 1;
                    gate.acquire().await.unwrap().forget();
                    Ok(this)
                }
            };
            core.answer(&question, ask).await.unwrap()
        })
    };
    let first = asked();
    wait_for(SOON, "the first ask is under way", async || {
        match asks.load(Ordering::Relaxed) {
            0 => Err(()),
            _ => Ok(()),
        }
    })
    .await;
    let later = [(); 10].map(|()| asked());
    wait_for(SOON, "all of them wait", async || {
        match question.0.receiver_count() {
            11 => Ok(()),
            fewer => Err(fewer),
        }
    })
    .await;
    assert_eq!(asks.load(Ordering::Relaxed), 1);
    gate.add_permits(1);
    let first = first.await.unwrap();
    assert!(matches!(first, Answer::Now(1)), "{first:?}");
    gate.add_permits(1);
    for answer in later {
        let answer = answer.await.unwrap();
        assert!(matches!(answer, Answer::Now(2)), "{answer:?}");
    }
    assert_eq!(asks.load(Ordering::Relaxed), 2);
    core.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_lives_is_waited_for_and_one_that_hangs_is_not() {
    let there = Simulated::on(134).await;
    let core = opened(&there).await;
    let question = Question::<u32>::default();
    let long = |_: Containarium| async {
        sleep(MOMENT * (PATIENCE + LONGER + 20)).await;
        Ok(1)
    };
    let answer = core.answer(&question, long).await;
    assert!(matches!(answer, Ok(Answer::Now(1))), "{answer:?}");

    there.sim.hang(true);
    let hangs = |core: Containarium| async move {
        let server = core.inner.engine.server().await?;
        Ok(u32::from(server.is_trusted()) + 1)
    };
    let begun = Instant::now();
    let answer = core.answer(&question, hangs).await;
    assert!(matches!(answer, Ok(Answer::Earlier(Some(1)))), "{answer:?}");
    // Before anything says that the engine is silent.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );

    // The ask went on, and its answer is kept.
    there.sim.hang(false);
    wait_for(SOON, "the answer has come", async || {
        match question.newest() {
            Some(2) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    core.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_whose_task_panics_is_an_error_and_is_begun_anew() {
    let there = Simulated::on(135).await;
    let core = opened(&there).await;
    let question = Question::<u32>::default();
    let falls = |_: Containarium| async { panic!("as a bug of ours would") };
    let error = core.answer(&question, falls).await.unwrap_err();
    assert!(error.to_string().contains("ended early"), "{error}");
    let answer = core.answer(&question, |_| async { Ok(7) }).await;
    assert!(matches!(answer, Ok(Answer::Now(7))), "{answer:?}");
    core.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_let_go_of_when_the_engine_is_known_to_be_silent() {
    let there = Simulated::on(136).await;
    let core = opened(&there).await;
    let question = Question::<u32>::default();
    there.sim.hang(true);
    let never = |_: Containarium| async {
        std::future::pending::<()>().await;
        Ok(1)
    };
    let answer = core.answer(&question, never).await;
    assert!(matches!(answer, Ok(Answer::Earlier(None))), "{answer:?}");
    wait_for(
        SOON,
        "the engine is known to be silent",
        async || match core.health() {
            EngineHealth::Unreachable => Ok(()),
            EngineHealth::Ok => Err(()),
        },
    )
    .await;
    there.sim.hang(false);
    wait_for(SOON, "it is asked again", async || {
        match core.answer(&question, |_| async { Ok(2) }).await {
            Ok(Answer::Now(2)) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    core.close(SOON).await;
}
