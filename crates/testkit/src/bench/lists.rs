//! List and get, with more and more containers.

use reqwest::Method;
use serde_json::json;

use super::{
    added,
    lives::Since,
    place::{Own, Place},
    rates,
    subject::{GET, LIST, LIST_COMMAND},
    tally::Tally,
    way::Way,
};
use crate::{make_empties_of, remove_empties};

/// With empties, made past the daemon and adopted, and gone afterwards; and with all of them there, what
/// else is about reads.
pub(super) async fn measure(
    place: &Place,
    own: &Own,
    tally: &mut Tally,
    rounds: u32,
    listed: &[u32],
) {
    let (incus, installation) = (own.bed.incus(), &own.bed.installation);
    let mut names = Vec::new();
    let mut there = 0;
    for &many in listed {
        names.extend(make_empties_of(&incus, installation, there..many).await);
        there = many;
        let adopt = Some(json!({"all": true}));
        place
            .rest
            .change(Method::POST, "/v1/admin/adopt", adopt)
            .await;
        let list = place.rest.read("/v1/containers").await;
        assert_eq!(list["totalCount"], many, "not all are adopted");
        for round in 0..=rounds {
            let mut unused = Tally::default();
            let tally = if round == 0 { &mut unused } else { &mut *tally };
            reads(place, tally, many, &names[0], "e0").await;
        }
    }
    rates::measure(place, tally, there, rounds).await;
    added::calls(place, tally, there, "e0", rounds).await;
    // From here on the daemon is not asked any more.
    remove_empties(&incus, names).await;
}

/// One round.
async fn reads(place: &Place, tally: &mut Tally, many: u32, instance: &str, username: &str) {
    let at = Some(many);
    let incus = &place.incus().incus;

    let since = Since::now();
    place.rest.read("/v1/containers").await;
    tally.note_at(&LIST, at, Way::Ours, since.ms());
    let since = Since::now();
    let listed = incus.instances().await.unwrap();
    tally.note_at(&LIST, at, Way::Raw, since.ms());
    assert_eq!(listed.len(), many as usize);
    let since = Since::now();
    place.incus().command(&["list"], None).await;
    let command = since.ms();
    tally.note_at(&LIST, at, Way::Incus, command);
    tally.note_at(&LIST_COMMAND, at, Way::Incus, command);
    let since = Since::now();
    let told = place.program("containarium").arg("list").output();
    let told = told.await.unwrap();
    tally.note_at(&LIST_COMMAND, at, Way::Ours, since.ms());
    assert!(told.status.success(), "containarium list: {told:?}");

    let since = Since::now();
    place.rest.read(&format!("/v1/containers/{username}")).await;
    tally.note_at(&GET, at, Way::Ours, since.ms());
    let since = Since::now();
    incus.instance(instance).await.unwrap();
    tally.note_at(&GET, at, Way::Raw, since.ms());
    let since = Since::now();
    place.incus().command(&["info", instance], None).await;
    tally.note_at(&GET, at, Way::Incus, since.ms());
}
