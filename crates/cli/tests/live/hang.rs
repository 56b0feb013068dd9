//! An incusd that hangs for a minute, under load.

use std::time::Duration;

use containarium_testkit::chaos::hang;

use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn an_incusd_that_hangs_for_a_minute_takes_nothing_with_it() {
    let Some((under, mut life)) = start().await else {
        return;
    };
    hang(&under, &life, Duration::from_secs(60)).await;
    life.stop().await;
}
