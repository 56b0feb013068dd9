//! Each kill point once. They are enumerated from the steps: a new step has its points here without
//! anybody thinking of it, and one that is never reached fails its test.

use containarium_testkit::chaos::{Life, Under, die_at};

use crate::program;

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

macro_rules! kinds {
    ($($test:ident $kind:literal $subnet:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                all_of($kind, $subnet).await;
            }
        )*

        #[test]
        fn every_kind_of_operation_is_killed() {
            let here = [$($kind),*];
            for kind in containarium_contract::OperationKind::ALL {
                assert!(here.contains(&kind.as_str()), "{kind:?} is not killed");
            }
        }
    };
}

kinds! {
    a_create_is_made_once_wherever_the_daemon_dies "create" 130,
    a_delete_is_made_once_wherever_the_daemon_dies "delete" 131,
    an_undelete_is_made_once_wherever_the_daemon_dies "undelete" 132,
    a_purge_is_made_once_wherever_the_daemon_dies "purge" 133,
    a_start_is_made_once_wherever_the_daemon_dies "start" 134,
    a_stop_is_made_once_wherever_the_daemon_dies "stop" 135,
    an_added_key_is_there_once_wherever_the_daemon_dies "add_ssh_key" 136,
    a_removed_key_stays_away_wherever_the_daemon_dies "remove_ssh_key" 137,
    an_image_is_prepared_once_wherever_the_daemon_dies "prepare_image" 138,
    an_image_is_deleted_wherever_the_daemon_dies "delete_image" 139,
}
