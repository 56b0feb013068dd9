//! An incusd that hangs under load: for 20 s, and for a minute in `make soak`.

use std::time::Duration;

use containarium_testkit::{chaos::hang, share_or_all};

use super::start;

#[tokio::test(flavor = "multi_thread")]
async fn an_incusd_that_hangs_takes_nothing_with_it() {
    let Some((under, mut life)) = start().await else {
        return;
    };
    let long = Duration::from_secs(share_or_all(20, 60));
    hang(&under, &life, long).await;
    life.stop().await;
}
