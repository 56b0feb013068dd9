//! Many creates at once.

use std::{sync::Arc, thread::available_parallelism};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    lives::Since,
    place::{Made, Place},
    progress::Progress,
    ssh,
    subject::{BURST_FREE, BURST_LIMITED},
    tally::Tally,
    way::{Way, in_turn},
};

/// A burst of one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    /// Raw, of which only so many are made at a time as the daemon makes.
    Limited,
    /// Raw, all at once.
    Free,
}

/// Bursts of `many` by each way in turn; afterwards nothing of them is left.
pub(super) async fn measure(place: &Arc<Place>, tally: &mut Tally, rounds: u32, many: u32) {
    let threads = available_parallelism().unwrap().get();
    let at = Some(many);
    let kinds: &[Kind] = if place.raw.is_some() {
        &[Kind::Ours, Kind::Limited, Kind::Free]
    } else {
        &[Kind::Ours]
    };
    let mut progress = Progress::of("bursts of creates", rounds);
    for round in 0..rounds {
        progress.round(round + 1);
        for kind in in_turn(kinds, round) {
            match kind {
                Kind::Ours => {
                    let ours = burst(place, Way::Ours, many, None).await;
                    tally.note_at(&BURST_LIMITED, at, Way::Ours, ours);
                    if place.raw.is_some() {
                        tally.note_at(&BURST_FREE, at, Way::Ours, ours);
                    }
                }
                Kind::Limited => {
                    let limited = burst(place, Way::Raw, many, Some(threads)).await;
                    tally.note_at(&BURST_LIMITED, at, Way::Raw, limited);
                }
                Kind::Free => {
                    let free = burst(place, Way::Raw, many, None).await;
                    tally.note_at(&BURST_FREE, at, Way::Raw, free);
                }
            }
        }
    }
}

/// One burst, of which at most `limit` are being made and started at a time; containers per second.
async fn burst(place: &Arc<Place>, way: Way, many: u32, limit: Option<usize>) -> f64 {
    let limit = limit.unwrap_or(many as usize);
    let turns = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    let since = Since::now();
    for slot in 0..many {
        let (place, turns) = (Arc::clone(place), Arc::clone(&turns));
        tasks.spawn(async move {
            let turn = turns.acquire_owned().await.unwrap();
            let made = place.create(way, slot).await;
            drop(turn);
            ssh::banner(made.address).await;
            made
        });
    }
    let mut all: Vec<Made> = Vec::new();
    while let Some(made) = tasks.join_next().await {
        all.push(made.unwrap());
    }
    let rate = f64::from(many) / (since.ms() / 1000.0);
    for made in &all {
        place.delete(made).await;
    }
    rate
}
