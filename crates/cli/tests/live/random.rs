//! Kills at random moments, of the daemon, of incusd, of both in both orders and again during recovery.

use std::time::Duration;

use containarium_testkit::chaos::{Settings, run};

use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_left_behind_by_random_kills() {
    let Some((under, mut life)) = start().await else {
        return;
    };
    life.kill().await;
    let settings = Settings {
        seed: 5,
        // Each kind of fault takes ten to twenty seconds; the kills are no more than they come to.
        time: Duration::from_secs(200),
        kills: 12,
        names: 3,
    };
    let tally = run(&under, &mut life, settings, |_| ()).await;
    println!("{tally}");
    if !tally.is_good() {
        panic!("{tally:#?}; logs in {}", life.keep_logs().display());
    }
    assert_eq!(tally.missed(&under), [], "{tally}");
    assert!(tally.created >= 1, "{tally}");
}
