//! Many containers on a real Incus: empties made past the daemon, adopted, measured as on an incusd in
//! memory, and gone again. `CONTAINARIUM_TEST_MANY` says how many; 60 unless set. `make scale
//! ENGINE=incus` runs it optimised with 1,000; then the bounds are those that are promised.

use std::{sync::Arc, time::Instant};

use containarium_testkit::{
    Bed, TestDaemon, make_empties, remove_empties,
    scale::{Place, measured, number},
    share_or_all,
};

#[tokio::test(flavor = "multi_thread")]
async fn many_empties_are_adopted_cost_little_and_none_is_lost() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let many = number("CONTAINARIUM_TEST_MANY", share_or_all(60, 200));
    assert!(
        many + 4 <= bed.installation.uid_ranges,
        "there are no user ids for so many"
    );
    let begun = Instant::now();
    let names = make_empties(&bed.incus(), &bed.installation, many).await;
    println!("{many} empties made in {:.1?}", begun.elapsed());

    let state = Arc::new(bed.copied_state());
    let place = Place {
        state: state.path(),
        socket: &bed.socket,
        many,
    };
    let table = measured(&place).await;

    let daemon = TestDaemon::with(state, &bed.socket).await;
    // What goes past the daemon is told as gone, and nothing else is.
    let (gone, rest) = names.split_at(names.len() / 2);
    remove_empties(&bed.incus(), gone.to_vec()).await;
    let error = async |state: &str| {
        let path = format!("/v1/containers?state={state}&limit=1");
        let list = daemon.ask_as_admin("GET", &path, None).await;
        list.json()["totalCount"].as_u64().unwrap_or_default()
    };
    containarium_testkit::wait_for(super::SOON, "half is told as gone", async || {
        let seen = (error("error").await, error("stopped").await);
        if seen == (gone.len() as u64, rest.len() as u64) {
            Ok(())
        } else {
            Err(seen)
        }
    })
    .await;
    remove_empties(&bed.incus(), rest.to_vec()).await;
    assert!(bed.instances().await.is_empty());
    // Last, so that nothing is left where it was too much.
    table.must_fit();
}
