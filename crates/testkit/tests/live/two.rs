//! Two installations on one Incus.

use std::{process::Command, sync::Arc};

use containarium_core::{Installation, setup::PoolChoice};
use containarium_incus::{Client, Instance};
use containarium_testkit::{Key, TestDaemon};
use serde_json::json;

use super::{
    choices::{Second, with_second},
    tagged,
};

/// Gives the second the first's image: Incus copies none between projects unless it listens on the
/// network.
fn share_image(second: &Second) {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = &second.bed.installation.default_image;
    let alias = format!("containarium/plain/{}/{}", image.remote(), image.alias());
    let file = place.path().join("image");
    let incus = |arguments: &[&str]| {
        let mut command = Command::new("incus");
        let ran = command
            .args(arguments)
            .env("INCUS_DIR", &second.bed.incus_dir);
        let ran = ran.output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
    };
    let (from, to) = (&second.bed.installation.name, &second.name);
    let file = file.to_str().unwrap();
    incus(&[
        "image",
        "export",
        &format!("local:{alias}"),
        file,
        "--project",
        from,
        "--quiet",
    ]);
    let files = std::fs::read_dir(place.path()).unwrap().map(Result::unwrap);
    let mut files: Vec<String> = files
        .map(|file| file.path().to_str().unwrap().to_owned())
        .collect();
    // The metadata comes first; the root's file has a longer name.
    files.sort_by_key(String::len);
    let mut import = vec!["image", "import"];
    import.extend(files.iter().map(String::as_str));
    import.extend(["local:", "--alias", &alias, "--project", to, "--quiet"]);
    incus(&import);
}

async fn instances(incus: &Client, of: &Installation) -> Vec<Instance> {
    incus.in_project(&of.name).instances().await.unwrap()
}

/// All of an instance that anybody could have changed.
fn shape(instance: &Instance) -> String {
    format!(
        "{} {:?} {:?} {:?} {}",
        instance.name, instance.status, instance.config, instance.devices, instance.last_used_at
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_inits_at_once_choose_apart() {
    with_second(async move |second| {
        let third = Second {
            bed: second.bed.clone(),
            state: tempfile::tempdir().unwrap(),
            name: format!("{:.13}ci", second.bed.installation.name),
        };
        let ((_, one), (_, other)) = tokio::join!(
            second.lay_out(PoolChoice::File(None), None),
            third.lay_out(PoolChoice::File(None), None),
        );
        third.purge().await;
        let (one, other) = (one.unwrap(), other.unwrap());
        let (low, high) = if one.uid_first < other.uid_first {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let end = u64::from(low.uid_first) + u64::from(low.uid_ranges) * 65536;
        assert!(end <= u64::from(high.uid_first), "{one:?} {other:?}");
        assert_ne!(one.gateway, other.gateway);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_on_one_incus_share_nothing_and_touch_nothing_of_each_other() {
    with_second(async move |second| {
        let bed = &second.bed;
        let (said, made) = second.lay_out(PoolChoice::File(None), None).await;
        let other = made.unwrap();
        let ids = |of: &Installation| {
            let first = u64::from(of.uid_first);
            first..first + u64::from(of.uid_ranges) * 65536
        };
        let (ours, theirs) = (ids(&bed.installation), ids(&other));
        assert!(
            ours.end <= theirs.start || theirs.end <= ours.start,
            "{ours:?} and {theirs:?}: {said}"
        );
        assert_ne!(bed.installation.id, other.id);
        share_image(&second);

        let copied = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(second.state.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copied.path().join(file.file_name())).unwrap();
        }
        let a = TestDaemon::on(bed).await;
        let b = TestDaemon::with(Arc::new(copied), &bed.socket).await;
        let key = Key::new();
        let small = || json!({"enableDocker": false, "image": bed.installation.default_image});
        let of_a = a.create_as("alice", &key, small()).await.container;
        // The same name is free in the other.
        let of_b = b.create_as("alice", &key, small()).await.container;
        assert_ne!(of_a.network.ip_address, of_b.network.ip_address);
        let incus = second.incus();
        tagged(&incus.in_project(&other.name)).await;
        let base = |instance: &Instance| instance.config["volatile.idmap.base"].clone();
        let (in_a, in_b) = (
            instances(&incus, &bed.installation).await,
            instances(&incus, &other).await,
        );
        assert_eq!((in_a.len(), in_b.len()), (1, 1));
        assert_ne!(base(&in_a[0]), base(&in_b[0]));
        let (at_a, at_b) = (key.login(&of_a), key.login(&of_b));
        at_a.says("echo a > ~/whose").await;
        at_b.says("echo b > ~/whose").await;

        // What one does, restarts and deletes is its own.
        let before = shape(&in_b[0]);
        let a = a.restarted().await;
        a.ask_as_admin("POST", "/v1/containers/alice/stop", Some(json!({})))
            .await;
        a.delete("alice").await;
        assert_eq!(instances(&incus, &bed.installation).await.len(), 0);
        let after = instances(&incus, &other).await;
        assert_eq!(after.iter().map(shape).collect::<Vec<_>>(), [before]);
        assert_eq!(at_b.says("cat ~/whose").await, "b");
        let listed = a.ask_as_admin("GET", "/v1/containers", None).await.json();
        assert_eq!(listed["containers"], json!([]), "{listed}");

        // And the other way round, up to its end.
        let again = a.create_as("alice", &key, small()).await.container;
        let b = b.restarted().await;
        b.delete("alice").await;
        b.stopped().await;
        second.purge().await;
        key.login(&again).says("true").await;
        assert_eq!(instances(&incus, &bed.installation).await.len(), 1);
    })
    .await;
}
