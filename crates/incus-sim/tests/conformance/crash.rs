//! What a killed incusd breaks, what it leaves, and what its next life says of that.

use std::time::Duration;

use containarium_incus::{Error, EventType, Happened, StateChange};
use containarium_incus_sim::Left;

use super::{Bed, LONG, everywhere};

#[tokio::test]
async fn an_incusd_that_is_killed_breaks_what_listens_and_keeps_what_runs() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a40", 40)).await.unwrap();
        let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
        bed.host.kill(Left::Part).await;
        let broken = loop {
            // What was done before may still be told.
            match tokio::time::timeout(LONG, events.next()).await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(broken, Error::Protocol(_)), "{broken:?}");
        // One that dies takes a last connection along.
        let end = std::time::Instant::now() + LONG;
        loop {
            let away = bed.incus.server().await.unwrap_err();
            if matches!(away, Error::Unreachable { .. }) {
                break;
            }
            assert!(away.outcome_unknown(), "{away:?}");
            assert!(std::time::Instant::now() < end, "{away:?}");
        }
        bed.host.start();
        let there = bed.incus.instance("a40").await.unwrap().value;
        assert!(there.status_code.is_running());
        assert!(bed.incus.operations().await.unwrap().is_empty());
        bed.change("a40", StateChange::kill()).await.unwrap();
    })
    .await;
}

/// Which of the three a real one leaves is the moment's choice; one is needed to have seen it.
#[tokio::test]
async fn an_incusd_killed_in_a_create_leaves_what_looks_stopped_and_cannot_start() {
    everywhere(|bed| async move {
        let mut half_made = 0;
        for (host, left) in (41..).zip([Left::Record, Left::Nothing, Left::Part].repeat(3)) {
            let name = &killed_in_a_create(&bed, host, left).await;
            match bed.change(name, StateChange::start()).await {
                // It was made before incusd was killed.
                Ok(_) => bed
                    .change(name, StateChange::kill())
                    .await
                    .map(drop)
                    .unwrap(),
                // That something of it is not found does not mean that it is not there.
                Err(Error::NotFound(text) | Error::OperationFailed(text)) => {
                    let known = ["idmapped storage", "Instance storage pool not found"];
                    assert!(known.iter().any(|known| text.contains(known)), "{text}");
                    half_made += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
            deleted(&bed, name, true).await;
            if half_made == 3 {
                return;
            }
        }
        assert!(half_made > 0, "each was made before incusd was killed");
    })
    .await;
}

#[tokio::test]
async fn what_is_half_made_can_be_deleted_if_nobody_starts_it() {
    everywhere(|bed| async move {
        for (host, left) in (70..).zip([Left::Record, Left::Nothing, Left::Part]) {
            let name = killed_in_a_create(&bed, host, left).await;
            deleted(&bed, &name, false).await;
        }
        // Nothing of them is in the way of others of their names.
        bed.create(&bed.started("a70", 70)).await.unwrap();
    })
    .await;
}

/// Makes an instance of which incusd is killed in the create, and answers with its name.
async fn killed_in_a_create(bed: &Bed, host: u8, left: Left) -> String {
    let name = format!("a{host}");
    let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
    let begun = bed.incus.create_instance(&bed.post(&name, host)).await;
    // That it is on record; its volume comes later.
    let told = tokio::time::timeout(LONG, events.next()).await.unwrap();
    let Happened::Lifecycle(told) = told.unwrap().happened else {
        panic!("a lifecycle was asked for")
    };
    assert_eq!(told.action, "instance-created");
    bed.host.kill(left).await;
    bed.host.start();

    let there = bed.incus.instance(&name).await.unwrap().value;
    assert!(there.status_code.is_stopped(), "{there:?}");
    let note = there.config.get("user.note").map(String::as_str);
    assert_eq!(note, Some("1"), "it has its tags");
    let listed = bed.incus.instances().await.unwrap();
    assert!(listed.iter().any(|listed| listed.name == name));
    let gone = bed.incus.operation(&begun.unwrap().id).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone:?}");
    name
}

/// Deletes what is half made: again where it fails at first, and, once it was started, with `rmdir` where
/// only that helps.
async fn deleted(bed: &Bed, name: &str, was_started: bool) {
    let end = std::time::Instant::now() + LONG;
    loop {
        let Err(error) = bed.done(bed.incus.delete_instance(name).await).await else {
            break;
        };
        match error.directory_in_the_way() {
            Some(path) => {
                assert!(was_started, "{error:?}");
                let again = bed.done(bed.incus.delete_instance(name).await).await;
                assert!(again.unwrap_err().directory_in_the_way() == Some(path));
                std::fs::remove_dir(path).unwrap();
            }
            None => assert!(std::time::Instant::now() < end, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = bed.incus.instance(name).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone:?}");
}
