//! Snapshots and volumes, and how a delete at the wrong moment wedges an instance.

use std::time::Duration;

use containarium_incus::{Error, StateChange, StorageVolume};

use super::{Bed, LONG, everywhere};

#[tokio::test]
async fn a_snapshot_is_made_listed_and_removed() {
    everywhere(|bed| async move {
        let incus = &bed.incus;
        bed.create(&bed.post("a55", 55)).await.unwrap();
        assert!(incus.snapshots("a55").await.unwrap().is_empty());
        let begun = incus.create_snapshot("a55", "s1").await.unwrap();
        assert!(begun.instances().eq(["a55".to_owned()]), "{begun:?}");
        bed.done(Ok(begun)).await.unwrap();
        let there = incus.snapshots("a55").await.unwrap();
        assert_eq!(there.len(), 1, "{there:?}");
        assert!(
            there[0].name == "s1" && there[0].created_at.contains('T'),
            "{there:?}"
        );
        let taken = bed.done(incus.create_snapshot("a55", "s1").await).await;
        let taken = taken.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken:?}");
        assert_eq!(own_volumes(&bed).await, ["a55", "a55/s1"]);

        bed.done(incus.delete_snapshot("a55", "s1").await)
            .await
            .unwrap();
        assert!(incus.snapshots("a55").await.unwrap().is_empty());
        for error in [
            incus
                .delete_snapshot("a55", "s1")
                .await
                .map(drop)
                .unwrap_err(),
            incus
                .create_snapshot("none", "s1")
                .await
                .map(drop)
                .unwrap_err(),
            incus.snapshots("none").await.map(drop).unwrap_err(),
            incus.storage_volumes("none").await.map(drop).unwrap_err(),
        ] {
            assert!(error.is_not_found(), "{error:?}");
        }
        // Deleted with its snapshots.
        bed.done(incus.create_snapshot("a55", "s2").await)
            .await
            .unwrap();
        bed.done(incus.delete_instance("a55").await).await.unwrap();
        assert!(own_volumes(&bed).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_a_pool_holds_is_told_with_its_project() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a56", 56)).await.unwrap();
        let all = bed.incus.storage_volumes(&bed.pool).await.unwrap();
        let own = all.iter().find(|volume| volume.name == "a56").unwrap();
        assert_eq!(own.kind, "container");
        assert_eq!(Some(own.project.as_str()), bed.incus.project_name());
        assert!(own.used_by[0].starts_with("/1.0/instances/a56"), "{own:?}");
        let image = |volume: &&StorageVolume| volume.kind == "image";
        let image = all.iter().find(image).unwrap();
        assert_eq!(image.project, "default");
        let other = bed.root.in_project("none").storage_volumes(&bed.pool).await;
        assert!(
            other.is_err() || other.unwrap().iter().all(|volume| volume.kind == "image"),
            "another project's are not told"
        );
        let leases = bed.incus.network_leases(&bed.network).await.unwrap();
        let lease = leases.iter().find(|lease| lease.hostname == "a56").unwrap();
        assert_eq!(lease.address, format!("{}.56", bed.subnet));
        assert_eq!(lease.kind, "static");
    })
    .await;
}

#[tokio::test]
async fn a_delete_during_a_snapshot_wedges_the_instance_until_the_host_is_cured() {
    everywhere(|bed| async move {
        for attempt in 1.. {
            bed.create(&bed.post("a57", 57)).await.unwrap();
            let snapshot = bed.incus.create_snapshot("a57", "s1").await.unwrap();
            let delete = bed.incus.delete_instance("a57").await;
            // It says that all went well, whatever became of it.
            let _well = bed.done(Ok(snapshot)).await;
            match bed.done(delete).await {
                // The snapshot was not begun, or over, when the delete came.
                Ok(_) if attempt < 10 => continue,
                Ok(_) => panic!("it was never wedged"),
                Err(error) => assert!(is_wedged(&error), "{error:?}"),
            }
            break;
        }
        let there = bed.incus.instance("a57").await.unwrap().value;
        assert!(there.status_code.is_stopped());
        assert!(
            bed.incus.snapshots("a57").await.unwrap().is_empty(),
            "not to be seen"
        );
        let again = bed.done(bed.incus.delete_instance("a57").await).await;
        assert!(is_wedged(&again.unwrap_err()));
        bed.host.unwedge(&bed, "a57", "s1");
        bed.done(bed.incus.delete_instance("a57").await)
            .await
            .unwrap();
        assert!(bed.incus.instances().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_instance_of_nothing_is_made_and_deleted_and_does_not_start() {
    everywhere(|bed| async move {
        let mut post = bed.post("a58", 58);
        post.source = containarium_incus::Source::None;
        bed.create(&post).await.unwrap();
        let failed = bed.change("a58", StateChange::start()).await.unwrap_err();
        let Error::OperationFailed(text) = &failed else {
            panic!("{failed:?}")
        };
        assert!(text.contains("forkstart"), "{text}");
        // For a moment after such a start an incusd takes it for running, or stops what did not run.
        let end = std::time::Instant::now() + LONG;
        while let Err(error) = bed.done(bed.incus.delete_instance("a58").await).await {
            let soon = matches!(error, Error::Running(_) | Error::Busy(_));
            assert!(soon, "{error:?}");
            assert!(std::time::Instant::now() < end, "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(bed.incus.instances().await.unwrap().is_empty());
    })
    .await;
}

fn is_wedged(error: &Error) -> bool {
    matches!(error, Error::OperationFailed(text)
        if text.contains("Cannot remove a volume that has snapshots"))
}

async fn own_volumes(bed: &Bed) -> Vec<String> {
    let all = bed.incus.storage_volumes(&bed.pool).await.unwrap();
    let own = all.into_iter().filter(|volume| volume.kind == "container");
    let mut names: Vec<String> = own.map(|volume| volume.name).collect();
    names.sort();
    names
}
