//! Each kill point once. They are enumerated from the steps: a new step has its points here without
//! anybody thinking of it, and one that is never reached fails its test.

use containarium_testkit::chaos::{Life, Under, die_at};

use super::program;

/// Every point of one kind of operation.
async fn all_of(kind: &str, subnet: u8) {
    let all = containarium_core::kill_points();
    let points: Vec<_> = all
        .iter()
        .filter(|point| point.split('.').next() == Some(kind))
        .collect();
    assert!(points.len() >= 6, "{kind} has steps");
    let under = Under::sim(subnet).await;
    let mut life = Life::new(program(), &under);
    if kind == "purge" {
        life.retention = "1s";
    }
    life.start(None).await.unwrap();
    for point in points {
        die_at(point, &under, &mut life, "alice").await;
    }
    life.stop().await;
}

/// The kinds that the tests below kill.
const KILLED: [&str; 12] = [
    "create",
    "delete",
    "undelete",
    "purge",
    "start",
    "stop",
    "add_ssh_key",
    "remove_ssh_key",
    "prepare_image",
    "delete_image",
    "adopt",
    "purge_unclaimed",
];

#[test]
fn every_kind_of_operation_is_killed() {
    for kind in containarium_contract::OperationKind::ALL {
        assert!(KILLED.contains(&kind.as_str()), "{kind:?} is not killed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_made_once_wherever_the_daemon_dies() {
    all_of("create", 130).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_is_made_once_wherever_the_daemon_dies() {
    all_of("delete", 131).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undelete_is_made_once_wherever_the_daemon_dies() {
    all_of("undelete", 132).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_made_once_wherever_the_daemon_dies() {
    all_of("purge", 133).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_made_once_wherever_the_daemon_dies() {
    all_of("start", 134).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_made_once_wherever_the_daemon_dies() {
    all_of("stop", 135).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_key_is_there_once_wherever_the_daemon_dies() {
    all_of("add_ssh_key", 136).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_stays_away_wherever_the_daemon_dies() {
    all_of("remove_ssh_key", 137).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_prepared_once_wherever_the_daemon_dies() {
    all_of("prepare_image", 138).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_deleted_wherever_the_daemon_dies() {
    all_of("delete_image", 139).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_adopted_is_there_once_wherever_the_daemon_dies() {
    all_of("adopt", 149).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclaimed_one_is_purged_wherever_the_daemon_dies() {
    all_of("purge_unclaimed", 148).await;
}
