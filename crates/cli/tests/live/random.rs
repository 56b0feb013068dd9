//! Kills at random moments, of the daemon, of incusd, of both in both orders and again during recovery.

use std::time::Duration;

use containarium_testkit::{
    chaos::{Settings, run},
    seed, share_or_all,
};

use super::start;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_left_behind_by_random_kills() {
    let Some((under, mut life)) = start().await else {
        return;
    };
    life.kill().await;
    let settings = Settings {
        seed: seed(),
        // Each kind of fault once, in CI; what they come to is more kills than these.
        time: Duration::from_secs(share_or_all(200, 900)),
        kills: share_or_all(12, 100),
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
