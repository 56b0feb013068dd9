//! What is told to whoever listens, and what can be known by it.

use std::time::Duration;

use containarium_incus::{
    Error, Event, EventType, Events, Happened, InstancePatch, Source, StateChange, StatusCode,
};

use super::{LONG, config, everywhere, project};

/// Listens until one comes that fits; `seen` gets all that came.
async fn until(events: &mut Events, seen: &mut Vec<Event>, fits: impl Fn(&Event) -> bool) {
    let end = tokio::time::Instant::now() + LONG;
    loop {
        let event = tokio::time::timeout_at(end, events.next()).await;
        let event = event.unwrap_or_else(|_| panic!("it never came; seen: {seen:#?}"));
        seen.push(event.unwrap());
        if seen.last().is_some_and(&fits) {
            return;
        }
    }
}

/// The actions done to the instance of that name, in the order they came.
fn actions<'a>(seen: &'a [Event], name: &str) -> Vec<&'a str> {
    let lifecycles = seen.iter().filter_map(|event| match &event.happened {
        Happened::Lifecycle(told) if told.name == name => Some(told.action.as_str()),
        Happened::Lifecycle(_) | Happened::Operation(_) | Happened::Other(_) => None,
    });
    lifecycles.collect()
}

#[tokio::test]
async fn what_is_done_to_an_instance_is_told_in_its_order() {
    everywhere(|bed| async move {
        let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
        bed.create(&bed.started("a28", 28)).await.unwrap();
        let patch = InstancePatch {
            config: config([("user.note", "2")]),
            ..InstancePatch::default()
        };
        bed.incus.patch_instance("a28", &patch).await.unwrap();
        let forced = StateChange {
            force: true,
            ..StateChange::restart(LONG)
        };
        for change in [StateChange::freeze(), StateChange::unfreeze(), forced] {
            bed.change("a28", change).await.unwrap();
        }
        bed.change("a28", StateChange::kill()).await.unwrap();
        bed.done(bed.incus.delete_instance("a28").await).await.unwrap();
        let mut seen = Vec::new();
        until(&mut events, &mut seen, |event| {
            matches!(&event.happened, Happened::Lifecycle(told) if told.action == "instance-deleted")
        })
        .await;
        assert_eq!(
            actions(&seen, "a28"),
            [
                "instance-created",
                "instance-started",
                "instance-updated",
                "instance-paused",
                "instance-resumed",
                "instance-restarted",
                "instance-stopped",
                "instance-deleted"
            ],
            "{seen:#?}"
        );
        let project = bed.incus.project_name().unwrap();
        for event in &seen {
            assert_eq!(event.project, project, "{event:?}");
            let Happened::Lifecycle(told) = &event.happened else {
                panic!("{event:?}")
            };
            assert!(told.source.starts_with("/1.0/instances/a28"), "{told:?}");
            assert!(event.timestamp.contains('T'), "{event:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_is_told_by_another_word_than_a_kill() {
    everywhere(|bed| async move {
        bed.create(&bed.started("a29", 29)).await.unwrap();
        let mut events = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
        // One that is asked while it boots may not hear it.
        let asked = StateChange::stop(Duration::from_secs(5));
        let mut tries = 1;
        while bed.change("a29", asked).await.is_err() {
            assert!(tries < 5, "it does not shut down");
            tries += 1;
        }
        let mut seen = Vec::new();
        until(&mut events, &mut seen, |event| {
            !actions(std::slice::from_ref(event), "a29").is_empty()
        })
        .await;
        assert_eq!(actions(&seen, "a29"), ["instance-shutdown"]);
    })
    .await;
}

#[tokio::test]
async fn an_operation_is_told_from_its_beginning_to_its_end() {
    everywhere(|bed| async move {
        let mut events = bed.incus.events(&[EventType::Operation]).await.unwrap();
        let mut told = async |id: &str| {
            let mut seen = Vec::new();
            let mine = |event: &Event| match &event.happened {
                Happened::Operation(told) if told.id == id => Some((**told).clone()),
                Happened::Lifecycle(_) | Happened::Operation(_) | Happened::Other(_) => None,
            };
            until(&mut events, &mut seen, |event| {
                mine(event).is_some_and(|told| told.status_code.is_final())
            })
            .await;
            seen.iter().filter_map(mine).collect::<Vec<_>>()
        };
        let begun = bed
            .incus
            .create_instance(&bed.post("a30", 30))
            .await
            .unwrap();
        let all = told(&begun.id).await;
        assert!(all.len() >= 2 && !all[0].status_code.is_final(), "{all:#?}");
        assert!(all.last().unwrap().status_code.is_success(), "{all:#?}");
        assert!(all[0].resources["instances"][0].starts_with("/1.0/instances/a30"));

        let mut bad = bed.post("b30", 31);
        bad.source = Source::alias("none");
        let begun = bed.incus.create_instance(&bad).await.unwrap();
        let failed = told(&begun.id).await.pop().unwrap();
        assert_eq!(failed.status_code, StatusCode::FAILURE);
        assert!(failed.err.contains("Image not provided"), "{failed:?}");
    })
    .await;
}

#[tokio::test]
async fn a_listener_hears_of_its_own_project_only() {
    everywhere(|bed| async move {
        let other = project(&bed.root).await;
        let mut here = bed.incus.events(&[EventType::Lifecycle]).await.unwrap();
        let mut there = other.events(&[EventType::Lifecycle]).await.unwrap();
        let begun = other.create_instance(&bed.post("a32", 32)).await.unwrap();
        other.wait(&begun, LONG).await.unwrap();
        bed.create(&bed.post("b32", 33)).await.unwrap();
        let created = |event: &Event| match &event.happened {
            Happened::Lifecycle(told) => told.action == "instance-created",
            Happened::Operation(_) | Happened::Other(_) => false,
        };
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        until(&mut here, &mut mine, created).await;
        until(&mut there, &mut theirs, created).await;
        assert_eq!(actions(&mine, "b32"), ["instance-created"], "{mine:#?}");
        assert!(actions(&mine, "a32").is_empty(), "{mine:#?}");
        assert_eq!(actions(&theirs, "a32"), ["instance-created"], "{theirs:#?}");
        let other = other.project_name().unwrap().to_owned();
        bed.root.delete_project(&other, true).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_comes_while_it_starts_is_accepted_and_then_busy() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a27", 27)).await.unwrap();
        let mut events = bed.incus.events(&[EventType::Operation]).await.unwrap();
        // A start may be over before the delete is there.
        for attempt in 1.. {
            let begun = bed
                .incus
                .change_state("a27", &StateChange::start())
                .await
                .unwrap();
            until(
                &mut events,
                &mut Vec::new(),
                |event| matches!(&event.happened, Happened::Operation(told) if told.id == begun.id),
            )
            .await;
            let deleted = bed
                .done(bed.incus.delete_instance("a27").await)
                .await
                .unwrap_err();
            bed.incus.wait(&begun, LONG).await.unwrap();
            let there = bed.incus.instance("a27").await.unwrap().value;
            assert!(there.status_code.is_running());
            match deleted {
                Error::Busy(_) => return,
                Error::Running(_) if attempt < 5 => {}
                other => panic!("{other:?}"),
            }
            bed.change("a27", StateChange::kill()).await.unwrap();
        }
    })
    .await;
}
