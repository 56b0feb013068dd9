//! Many containers on a real Incus: empties made past the daemon, adopted, listed, and gone again.
//! `CONTAINARIUM_TEST_MANY` says how many; 200 unless set.

use std::time::{Duration, Instant};

use containarium_testkit::{make_empties, remove_empties};
use serde_json::json;

use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn many_empties_are_adopted_and_listed_and_none_is_lost() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let many = std::env::var("CONTAINARIUM_TEST_MANY");
    let many: u32 = many.map_or(200, |text| text.parse().unwrap());
    assert!(
        many <= bed.installation.uid_ranges,
        "there are no user ids for so many"
    );
    let begun = Instant::now();
    let names = make_empties(&bed.incus(), &bed.installation, many).await;
    println!("{many} empties made in {:.1?}", begun.elapsed());

    let begun = Instant::now();
    let ask = Some(json!({"all": true}));
    let adopted = daemon.ask_as_admin("POST", "/v1/admin/adopt", ask).await;
    println!("adopted in {:.1?}", begun.elapsed());
    assert_eq!(
        adopted.json()["message"],
        format!("{many} adopted."),
        "{adopted:?}"
    );
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        let list = daemon.ask_as_admin("GET", "/v1/containers", None).await;
        times.push(begun.elapsed());
        assert_eq!(list.json()["totalCount"], many);
    }
    times.sort();
    let most = times[times.len() - 1];
    println!(
        "list of all: half in {:.1?}, all in {most:.1?}",
        times[times.len() / 2]
    );
    // An answer that asked Incus about each would take 4.5 ms for each.
    assert!(most < Duration::from_secs(1), "{times:?}");
    let stopped = daemon
        .ask_as_admin("GET", "/v1/containers?state=stopped&limit=1", None)
        .await;
    assert_eq!(stopped.json()["totalCount"], many, "{stopped:?}");
    // What goes past the daemon is told as gone, and nothing else is.
    let (gone, rest) = names.split_at(names.len() / 2);
    remove_empties(&bed.incus(), gone.to_vec()).await;
    let error = async |state: &str| {
        let path = format!("/v1/containers?state={state}&limit=1");
        let list = daemon.ask_as_admin("GET", &path, None).await;
        list.json()["totalCount"].as_u64().unwrap_or_default()
    };
    containarium_testkit::wait_for(crate::SOON, "half is told as gone", async || {
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
}
