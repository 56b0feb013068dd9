//! Random deeds, random faults, random kills, and after each round the look whether all is as it
//! should be. The seed decides all that is chosen. Which fault a round has is `faults.rs`'s.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    Calls, Life, Outcome, Under,
    clean::{CLEAN, look},
    faults::Fault,
    tally::Tally,
    worker::{Now, Worker},
};
use crate::Junk;

/// What a run shall be.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Decides all that is chosen.
    pub seed: u64,
    /// Ends it.
    pub time: Duration,
    /// Ends it, too, but not before each kind of fault was run once.
    pub kills: u64,
    /// How many names are worked on side by side.
    pub names: usize,
}

/// Rounds until the time is over, enough was killed, or something was wrong. `told` hears of each. The
/// first rounds are each kind of fault once, so that a short run leaves none out by bad luck.
pub async fn run(
    under: &Under,
    life: &mut Life,
    settings: Settings,
    mut told: impl FnMut(&Tally),
) -> Tally {
    let end = Instant::now() + settings.time;
    let mut tally = Tally::default();
    let worker = |n| {
        let name = format!("chaos-{n}");
        let made = under.small(&name);
        Worker::new(name, made)
    };
    let mut workers: Vec<Worker> = (0..settings.names).map(worker).collect();
    life.start(None).await.unwrap();
    let mut walk = Fault::walk(settings.seed, under).into_iter();
    while Instant::now() < end && tally.is_good() {
        let mut dice = Junk::of(
            settings
                .seed
                .wrapping_add(tally.rounds.wrapping_mul(0x9e37)),
        );
        let fault = match walk.next() {
            Some(fault) => fault,
            None if tally.kills() < settings.kills => Fault::drawn(&mut dice, under),
            None => break,
        };
        round(fault, under, life, &mut workers, &mut dice, &mut tally).await;
        tally.rounds += 1;
        *tally.faults.entry(fault).or_default() += 1;
        told(&tally);
    }
    life.kill().await;
    tally
}

async fn round(
    fault: Fault,
    under: &Under,
    life: &mut Life,
    workers: &mut [Worker],
    dice: &mut Junk,
    tally: &mut Tally,
) {
    let points = containarium_core::kill_points();
    let point = dice.one(&points).clone();
    let live = under.simulated().is_none();
    // Until the first blow, between blows, and how slow the sim is.
    let moment = |dice: &mut Junk| {
        let longest = if live { 2000 } else { 250 };
        Duration::from_millis(20 + dice.below(longest) as u64)
    };
    let (first, second, third) = (moment(dice), moment(dice), moment(dice));
    let slow = Duration::from_millis(dice.below(60) as u64);
    let draws: Vec<Vec<usize>> = workers
        .iter()
        .map(|_| (0..1 + dice.below(3)).map(|_| dice.below(100)).collect())
        .collect();
    let again: Vec<bool> = workers.iter().map(|_| !dice.once_in(3)).collect();
    if let Some(sim) = under.simulated() {
        sim.set_latency(slow);
        if fault == Fault::Cut {
            tally.cuts += cut(sim, dice);
        }
    }
    if fault == Fault::DaemonAtPoint {
        life.kill().await;
        tally.daemons += 1;
        let begun = life.start(Some(&point)).await.is_ok();
        // What it takes up, or reconciles, may bring it to that point at once.
        if !begun || !lives(life, under).await {
            tally.daemons += 1;
            life.start(None).await.unwrap();
            life.calls().ready(under.patience()).await;
        }
    }
    let engines = tally.engines;
    let calls = life.calls();
    let work = async {
        let all = workers.iter_mut().zip(&draws);
        join_all(all.map(|(worker, draws)| worker.work(&calls, draws))).await;
    };
    let blows = async {
        sleep(first).await;
        match fault {
            Fault::Daemon => {
                life.kill().await;
                tally.daemons += 1;
            }
            // It ends at its point, or with the round.
            Fault::DaemonAtPoint | Fault::Cut => {}
            Fault::DaemonTwice => {
                life.kill().await;
                life.start(None).await.unwrap();
                sleep(second).await;
                life.kill().await;
                tally.daemons += 2;
            }
            Fault::Engine => {
                under.kill().await;
                tally.engines += 1;
                sleep(second / 2).await;
            }
            Fault::EngineTwice => {
                under.kill().await;
                under.start().await;
                sleep(second).await;
                under.kill().await;
                tally.engines += 2;
            }
            Fault::DaemonThenEngine => {
                life.kill().await;
                sleep(second / 8).await;
                under.kill().await;
                under.start().await;
                // Again while it recovers.
                life.start(None).await.unwrap();
                sleep(third).await;
                life.kill().await;
                tally.daemons += 2;
                tally.engines += 1;
            }
            Fault::EngineThenDaemon => {
                under.kill().await;
                sleep(second / 8).await;
                life.kill().await;
                // Without an engine at first.
                life.start(None).await.unwrap();
                sleep(third / 4).await;
                under.start().await;
                sleep(third).await;
                under.kill().await;
                tally.daemons += 1;
                tally.engines += 2;
            }
            Fault::Pause | Fault::PauseAndDaemon => {
                under.pause();
                sleep(second * 3).await;
                if fault == Fault::PauseAndDaemon {
                    life.kill().await;
                    life.start(None).await.unwrap();
                    sleep(third).await;
                    tally.daemons += 1;
                }
                under.resume();
                tally.pauses += 1;
            }
        }
        under.start().await;
    };
    tokio::join!(work, blows);
    if fault == Fault::DaemonAtPoint {
        // Whether it has come to its point or not: from here on nothing kills it.
        life.kill().await;
        tally.daemons += 1;
    }
    if life.is_dead() {
        life.start(None).await.unwrap();
    }
    let calls = life.calls();
    calls.ready(under.patience()).await;
    if let Some(sim) = under.simulated() {
        sim.set_latency(Duration::ZERO);
    }
    let mut lost = Vec::new();
    for (worker, again) in workers.iter_mut().zip(&again) {
        if *again && let Err(why) = worker.ask_again(&calls).await {
            lost.push(why);
        }
    }
    settle(under, &calls, tally).await;
    let all = listed(&calls).await;
    let mut woken = 0;
    for worker in &mut *workers {
        if let Some((now, kept)) = so(&all, &worker.name)
            && let Err(why) = worker.found(now, kept, &mut woken)
        {
            lost.push(why);
        }
        if let Err(why) = worker.repeat(&calls).await {
            lost.push(why);
        }
    }
    if woken > 0 && (!live || tally.engines == engines) {
        lost.push(format!(
            "{woken} that were stopped run, and no real incusd was started"
        ));
    }
    tally.woken += woken;
    tally.lost.extend(lost);
    let sum = |of: fn(&Worker) -> u64| workers.iter().map(of).sum();
    tally.created = sum(|worker| worker.created);
    tally.acknowledged = sum(|worker| worker.acknowledged);
    tally.unanswered = sum(|worker| worker.unanswered);
    tally.refused = sum(|worker| worker.refused);
    if !tally.is_good() {
        tally
            .lost
            .push(format!("in a round of {fault:?} (point {point})"));
    }
}

/// Waits until the daemon has heard of the engine; false where it is dead before.
async fn lives(life: &mut Life, under: &Under) -> bool {
    let end = Instant::now() + under.patience();
    while !life.is_dead() {
        let asked = life.calls().ask("GET", "/ready", None, None).await;
        if matches!(asked, Outcome::Answered(answer) if answer.status == 200) {
            return true;
        }
        assert!(Instant::now() < end, "not ready:\n{}", life.told());
        sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Lets some answers of the sim break off.
fn cut(sim: &containarium_simulated::Sim, dice: &mut Junk) -> u64 {
    use containarium_simulated::{Fault as Trouble, On};
    let kinds = [On::Create, On::Delete, On::ChangeState, On::Patch, On::Wait];
    let count = 1 + dice.below(4);
    for _ in 0..count {
        sim.fail_next(*dice.one(&kinds), Trouble::CutAnswer);
    }
    if dice.once_in(2) {
        sim.forget_operations();
    }
    count as u64
}

/// Looks until all is in order, or too long.
async fn settle(under: &Under, calls: &Calls, tally: &mut Tally) {
    let begun = Instant::now();
    loop {
        let mut wrong = Vec::new();
        look(calls, under, &mut wrong).await;
        if wrong.is_empty() {
            break;
        }
        if begun.elapsed() > CLEAN {
            tally.leaks.extend(wrong);
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    tally.longest = tally.longest.max(begun.elapsed());
}

/// All containers, and all that are kept.
async fn listed(calls: &Calls) -> (Value, Value) {
    let now = calls.get("/v1/containers").await.json();
    let kept = calls.get("/v1/containers?state=deleted").await.json();
    (now, kept)
}

/// What one name is, and whether one is kept; `None` where that cannot be said, which was told already.
fn so((now, kept): &(Value, Value), name: &str) -> Option<(Now, bool)> {
    let row = |all: &Value| {
        let all = all["containers"].as_array().unwrap();
        all.iter().find(|row| row["username"] == name).cloned()
    };
    let now = match row(now) {
        None => Now::Absent,
        Some(row) if row["state"] == "running" => Now::Running,
        Some(row) if row["state"] == "stopped" => Now::Stopped,
        Some(_) => return None,
    };
    Some((now, row(kept).is_some()))
}

async fn join_all<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
