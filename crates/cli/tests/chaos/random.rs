//! Random deeds, faults and kills, for a short while; `make soak` does it for longer, and `make chaos` for as long as one
//! likes.

use std::time::Duration;

use containarium_testkit::{
    chaos::{Life, Settings, Under, run},
    seed, share_or_all,
};

use super::program;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_left_behind_by_random_kills() {
    let under = Under::sim(140).await;
    let mut life = Life::new(program(), &under);
    let settings = Settings {
        seed: seed(),
        time: Duration::from_secs(share_or_all(60, 300)),
        kills: share_or_all(15, 500),
        names: 5,
    };
    let tally = run(&under, &mut life, settings, |_| ()).await;
    println!("{tally}");
    if !tally.is_good() {
        panic!("{:#?}; logs in {}", tally, life.keep_logs().display());
    }
    assert_eq!(tally.missed(&under), [], "{tally}");
    assert!(tally.created >= 3, "{tally}");
}
