//! Each kill point once, but those of images: to prepare one takes minutes here.

use containarium_testkit::chaos::die_at;

use super::start;

/// Every point of these kinds: one of each in turn, so that what one did is undone by the next.
async fn all_of(kinds: &[&str], retention: &'static str) {
    let Some((under, mut life)) = start().await else {
        return;
    };
    life.kill().await;
    life.retention = retention;
    life.start(None).await.unwrap();
    let all = containarium_core::kill_points();
    let of = |kind: &str| {
        let ours = all
            .iter()
            .filter(|point| point.split('.').next() == Some(kind));
        ours.cloned().collect::<Vec<_>>()
    };
    let mut lists: Vec<_> = kinds.iter().map(|kind| of(kind).into_iter()).collect();
    let mut died = 0;
    loop {
        let round: Vec<String> = lists.iter_mut().filter_map(Iterator::next).collect();
        if round.is_empty() {
            break;
        }
        for point in round {
            die_at(&point, &under, &mut life, "alice").await;
            died += 1;
        }
    }
    assert!(died >= 6 * kinds.len(), "{died}");
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_are_made_once_wherever_the_daemon_dies() {
    all_of(&["create"], "24h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_and_undeletes_are_made_once_wherever_the_daemon_dies() {
    all_of(&["delete", "undelete"], "24h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_starts_are_made_once_wherever_the_daemon_dies() {
    all_of(&["stop", "start"], "24h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_changed_once_wherever_the_daemon_dies() {
    all_of(&["add_ssh_key", "remove_ssh_key"], "24h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_are_made_once_wherever_the_daemon_dies() {
    all_of(&["purge"], "1s").await;
}
