//! List and get, with more and more containers.

use reqwest::Method;
use serde_json::json;

use super::{
    added,
    lives::Since,
    options::Options,
    place::{Own, Place},
    progress::{Progress, say},
    rates,
    subject::{GET, LIST, LIST_COMMAND},
    tally::Tally,
    way::{Way, in_turn},
};
use crate::{make_empties_of, remove_empties};

/// With empties, made past the daemon and adopted, and gone afterwards; and with all of them there, what
/// else is about reads.
pub(super) async fn measure(place: &Place, own: &Own, tally: &mut Tally, options: &Options) {
    let (incus, installation) = (own.bed.incus(), &own.bed.installation);
    let rounds = options.rounds();
    let mut names = Vec::new();
    let mut there = 0;
    for &many in options.listed() {
        say(&format!("list and get, with {many} there"));
        names.extend(make_empties_of(&incus, installation, there..many).await);
        there = many;
        let adopt = Some(json!({"all": true}));
        place
            .rest
            .change(Method::POST, "/v1/admin/adopt", adopt)
            .await;
        let list = place.rest.read("/v1/containers").await;
        assert_eq!(list["totalCount"], many, "not all are adopted");
        let mut progress = Progress::of("list and get", rounds);
        for round in 0..=rounds {
            progress.round(round);
            let mut unused = Tally::default();
            let tally = if round == 0 { &mut unused } else { &mut *tally };
            reads(place, tally, many, round, &names[0]).await;
        }
    }
    rates::measure(place, tally, there, options).await;
    added::calls(place, tally, there, "e0", rounds).await;
    // From here on the daemon is not asked any more.
    remove_empties(&incus, names).await;
}

/// One round.
async fn reads(place: &Place, tally: &mut Tally, many: u32, round: u32, instance: &str) {
    let at = Some(many);
    for way in in_turn(&Way::ALL, round) {
        let since = Since::now();
        let listed = list(place, way).await;
        let took = since.ms();
        tally.note_at(&LIST, at, way, took);
        if let Some(listed) = listed {
            assert_eq!(listed, many as usize);
        }
        if way == Way::Incus {
            tally.note_at(&LIST_COMMAND, at, way, took);
        }
    }
    let since = Since::now();
    let told = place.program("containarium").arg("list").output();
    let told = told.await.unwrap();
    tally.note_at(&LIST_COMMAND, at, Way::Ours, since.ms());
    assert!(told.status.success(), "containarium list: {told:?}");
    for way in in_turn(&Way::ALL, round) {
        let since = Since::now();
        get(place, way, instance).await;
        tally.note_at(&GET, at, way, since.ms());
    }
}

/// A list; how many there are, where that is known without reading it again.
async fn list(place: &Place, way: Way) -> Option<usize> {
    match way {
        Way::Ours => {
            place.rest.read("/v1/containers").await;
            None
        }
        Way::Raw => Some(place.incus().incus.instances().await.unwrap().len()),
        Way::Incus => {
            place.incus().command(&["list"], None).await;
            None
        }
    }
}

/// Of the first of the empties.
async fn get(place: &Place, way: Way, instance: &str) {
    match way {
        Way::Ours => drop(place.rest.read("/v1/containers/e0").await),
        Way::Raw => drop(place.incus().incus.instance(instance).await.unwrap()),
        Way::Incus => place.incus().command(&["info", instance], None).await,
    }
}
