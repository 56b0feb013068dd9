//! How many lists a second are answered, and how long a short read takes.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};

use super::{
    lives::Since,
    options::Options,
    place::Place,
    progress::Progress,
    subject::{ADDED_READ, RATE_EIGHT, RATE_ONE},
    tally::Tally,
    way::{Way, in_turn},
};

/// For so long each.
const WHILE: Duration = Duration::from_secs(1);
/// So many more reads than rounds tell what a read takes: they are short.
const READS: u32 = 20;

/// A short read on a connection that is kept; and lists of the `many` containers that there are, by one
/// and by eight connections, by each way in turn.
pub(super) async fn measure(place: &Place, tally: &mut Tally, many: u32, options: &Options) {
    let kept = place.rest.kept();
    let one = "/v1/containers?limit=1";
    kept.get(one).await;
    for _ in 0..options.rounds() * READS {
        let since = Since::now();
        kept.get(one).await;
        tally.note(&ADDED_READ, Way::Ours, since.ms());
    }
    let ways: &[Way] = if place.raw.is_some() {
        &[Way::Ours, Way::Raw]
    } else {
        &[Way::Ours]
    };
    let mut progress = Progress::of("lists a second", options.long_rounds());
    for round in 0..options.long_rounds() {
        progress.round(round + 1);
        for (subject, connections) in [(&RATE_ONE, 1), (&RATE_EIGHT, 8)] {
            for way in in_turn(ways, round) {
                let rate = rate(place, way, connections).await;
                tally.note_at(subject, Some(many), way, rate);
            }
        }
    }
}

/// Lists per second.
async fn rate(place: &Place, way: Way, connections: u32) -> f64 {
    let callers: Vec<_> = (0..connections)
        .map(|_| (place.rest.kept(), place.raw.clone()))
        .collect();
    let since = Since::now();
    let end = Instant::now() + WHILE;
    let mut workers = JoinSet::new();
    for (kept, raw) in callers {
        workers.spawn(async move {
            let mut answers = 0;
            while Instant::now() < end {
                match (way, &raw) {
                    (Way::Raw, Some(raw)) => drop(raw.incus.instances().await.unwrap()),
                    (Way::Ours, _) => drop(kept.get("/v1/containers").await),
                    (Way::Raw, None) | (Way::Incus, _) => {
                        unreachable!("{way:?} makes no lists here")
                    }
                }
                answers += 1;
            }
            answers
        });
    }
    let answers: Vec<u32> = workers.join_all().await;
    f64::from(answers.iter().sum::<u32>()) / (since.ms() / 1000.0)
}
