//! Requests that meet each other, and a stop that is not heard: why one instance has one request at a time.

use std::time::Duration;

use containarium_incus::{
    Error, Event, EventType, Events, Happened, InstancePatch, Operation, StateChange,
};

use super::{Bed, LONG, config, everywhere, project};

const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_is_under_way_is_listed_with_its_instance() {
    everywhere(|bed| async move {
        let begun = bed.incus.create_instance(&bed.started("a60", 60)).await;
        let begun = begun.unwrap();
        let listed = bed.incus.operations().await.unwrap();
        let other = project(&bed.root).await;
        let elsewhere = other.operations().await.unwrap();
        bed.incus.wait(&begun, LONG).await.unwrap();
        let mine = listed.iter().find(|one| one.id == begun.id).unwrap();
        assert!(mine.instances().eq(["a60".to_owned()]), "{mine:?}");
        assert!(!mine.may_cancel, "a create cannot be given up");
        assert!(elsewhere.iter().all(|one| one.id != begun.id));
        assert!(bed.incus.operations().await.unwrap().is_empty());
        let other = other.project_name().unwrap().to_owned();
        bed.root.delete_project(&other, true).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_change_is_refused_while_it_starts_and_taken_before_and_after() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a61", 61)).await.unwrap();
        let patch = |phase: &str| InstancePatch {
            config: config([("user.phase", phase)]),
            ..InstancePatch::default()
        };
        bed.incus
            .patch_instance("a61", &patch("stopped"))
            .await
            .unwrap();
        let mut events = bed.incus.events(&[EventType::Operation]).await.unwrap();
        // A start may be over before the change is there.
        for attempt in 1.. {
            let begun = starting(&bed, "a61", &mut events).await;
            let refused = bed.incus.patch_instance("a61", &patch("starting")).await;
            bed.incus.wait(&begun, LONG).await.unwrap();
            match refused {
                Err(Error::Busy(_)) => break,
                Ok(()) if attempt < 5 => {}
                other => panic!("{other:?}"),
            }
            bed.change("a61", StateChange::kill()).await.unwrap();
        }
        bed.incus
            .patch_instance("a61", &patch("running"))
            .await
            .unwrap();
        let there = bed.incus.instance("a61").await.unwrap().value;
        assert_eq!(there.config["user.phase"], "running");
    })
    .await;
}

#[tokio::test]
async fn two_creates_of_one_name_at_once_have_one_winner() {
    everywhere(|bed| async move {
        let (one, other) = (bed.post("a62", 62), bed.post("a62", 63));
        let both = tokio::join!(bed.create(&one), bed.create(&other));
        let loser = match both {
            (Ok(_), Err(loser)) | (Err(loser), Ok(_)) => loser,
            both => panic!("{both:?}"),
        };
        let told = matches!(loser, Error::Busy(_) | Error::AlreadyExists(_));
        assert!(told, "{loser:?}");
        assert_eq!(bed.incus.instances().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_frozen_instance_does_not_hear_a_stop_and_is_then_said_to_run() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a64", 64)).await.unwrap();
        bed.change("a64", StateChange::freeze()).await.unwrap();
        let stop = StateChange::stop(SHORT);
        for _ in 0..2 {
            let lost = bed.change("a64", stop).await.unwrap_err();
            let Error::OperationFailed(text) = &lost else {
                panic!("{lost:?}")
            };
            assert!(text.contains("context deadline exceeded"), "{text}");
            let said = bed.incus.instance("a64").await.unwrap().value;
            assert!(said.status_code.is_running(), "{said:?}");
            let thaw = bed
                .change("a64", StateChange::unfreeze())
                .await
                .unwrap_err();
            assert!(matches!(thaw, Error::Running(_)), "{thaw:?}");
        }
        bed.change("a64", StateChange::kill()).await.unwrap();
        let there = bed.incus.instance("a64").await.unwrap().value;
        assert!(there.status_code.is_stopped());
    })
    .await;
}

#[tokio::test]
async fn a_frozen_instance_that_is_thawed_first_can_be_stopped() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a65", 65)).await.unwrap();
        bed.change("a65", StateChange::freeze()).await.unwrap();
        bed.change("a65", StateChange::unfreeze()).await.unwrap();
        let mut tries = 1;
        // One that is asked while it boots may not hear it.
        while bed
            .change("a65", StateChange::stop(2 * SHORT))
            .await
            .is_err()
        {
            assert!(tries < 5, "it does not shut down");
            tries += 1;
        }
        let there = bed.incus.instance("a65").await.unwrap().value;
        assert!(there.status_code.is_stopped());
    })
    .await;
}

#[tokio::test]
async fn who_asked_is_told() {
    everywhere(|bed| async move {
        let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
        bed.create(&bed.post("a66", 66)).await.unwrap();
        bed.done(bed.incus.delete_instance("a66").await)
            .await
            .unwrap();
        for action in ["instance-created", "instance-deleted"] {
            let told = tokio::time::timeout(LONG, events.next()).await.unwrap();
            let Happened::Lifecycle(told) = told.unwrap().happened else {
                panic!("a lifecycle was asked for")
            };
            assert_eq!(told.action, action);
            let who = told.requestor.unwrap();
            assert!(
                who.protocol == "unix" && !who.username.is_empty(),
                "{who:?}"
            );
        }
    })
    .await;
}

/// Begins a start, and returns when it has been told of.
async fn starting(bed: &Bed, name: &str, events: &mut Events) -> Operation {
    let begun = bed.incus.change_state(name, &StateChange::start()).await;
    let begun = begun.unwrap();
    let told =
        |event: &Event| matches!(&event.happened, Happened::Operation(told) if told.id == begun.id);
    while !told(
        &tokio::time::timeout(LONG, events.next())
            .await
            .unwrap()
            .unwrap(),
    ) {}
    begun
}
