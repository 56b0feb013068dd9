//! Keys of a container that is there: who gets in and who no longer does.

use std::time::Duration;

use containarium_contract::Container;
use containarium_incus::StateChange;
use containarium_testkit::{Answer, Bed, Key, Login, TestDaemon};
use serde_json::json;

use super::start;

const KEYS: &str = "/v1/containers/alice/ssh-keys";

async fn add(daemon: &TestDaemon, key: &Key) -> Answer {
    let body = json!({"key": key.public()});
    daemon.ask_as_admin("POST", KEYS, Some(body)).await
}

async fn remove(daemon: &TestDaemon, key: &Key, query: &str) -> Answer {
    let path = format!("{KEYS}/{}{query}", in_path(&fingerprint(key)));
    daemon.ask_as_admin("DELETE", &path, None).await
}

/// As `ssh-keygen` says it, and not as we do.
fn fingerprint(key: &Key) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.public()).unwrap();
    let said = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.split(' ').nth(1).unwrap().to_owned()
}

fn in_path(fingerprint: &str) -> String {
    let text = fingerprint.replace('/', "%2F").replace('+', "%2B");
    text.replace(':', "%3A")
}

/// A key whose fingerprint has both characters that mean something in a URL.
fn awkward() -> Key {
    let mut keys = std::iter::repeat_with(Key::new);
    let found = keys.find(|key| {
        let fingerprint = fingerprint(key);
        fingerprint.contains('/') && fingerprint.contains('+')
    });
    found.unwrap()
}

async fn must_be(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{answer:?}");
    answer
}

async fn lets_in(login: &Login) {
    assert_eq!(login.says("id -un").await, "alice");
}

async fn turns_away(login: &Login) {
    let said = login.run("true").await;
    assert_eq!(said.status, 255, "{said:?}");
    assert!(said.stderr.contains("Permission denied"), "{said:?}");
}

async fn change_state(bed: &Bed, change: StateChange) {
    let instance = bed.instances().await.remove(0).name;
    let begun = bed.incus().change_state(&instance, &change).await.unwrap();
    let end = Duration::from_secs(60);
    bed.incus().wait(&begun, end).await.unwrap();
}

/// How much the only container may have on the disk, as the kernel goes by.
async fn limit(bed: &Bed, size: &str) {
    let instance = bed.instances().await.remove(0).name;
    let volume = format!("{}_{instance}", bed.installation.name);
    let pool = bed.pool();
    let btrfs = |arguments: &[&str]| {
        let run = std::process::Command::new("btrfs")
            .args(arguments)
            .output()
            .unwrap();
        assert!(run.status.success(), "{arguments:?}: {run:?}");
        String::from_utf8(run.stdout).unwrap().trim().to_owned()
    };
    let pool_path = pool.to_str().unwrap();
    let volume = pool.join("containers").join(volume);
    let id = btrfs(&["inspect-internal", "rootid", volume.to_str().unwrap()]);
    // Through the pool, because through the full volume it cannot be lifted again.
    btrfs(&["qgroup", "limit", size, &format!("0/{id}"), pool_path]);
}

async fn power(daemon: &TestDaemon, verb: &str) {
    let path = format!("/v1/containers/alice/{verb}");
    must_be(daemon.ask_as_admin("POST", &path, None).await, 200).await;
}

async fn alice(daemon: &TestDaemon, key: &Key) -> Container {
    daemon.create("alice", key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_logs_in_from_when_it_is_added_until_it_is_removed() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let (first, second) = (Key::new(), awkward());
    let container = alice(&daemon, &first).await;
    let (one, two) = (first.login(&container), second.login(&container));
    turns_away(&two).await;
    let added = must_be(add(&daemon, &second).await, 200).await.json();
    assert_eq!(added["sshKeys"][1]["fingerprint"], fingerprint(&second));
    assert_eq!(added["sshKeys"][1]["type"], "ssh-ed25519");
    lets_in(&two).await;
    lets_in(&one).await;

    must_be(remove(&daemon, &first, "").await, 200).await;
    turns_away(&one).await;
    lets_in(&two).await;
    power(&daemon, "stop").await;
    power(&daemon, "start").await;
    turns_away(&one).await;
    lets_in(&two).await;
    // The tag is what a lost store would be made from again.
    let instance = bed.instances().await.remove(0);
    assert_eq!(
        instance.config["user.containarium.ssh_keys"],
        second.public()
    );

    let last = must_be(remove(&daemon, &second, "").await, 409).await;
    assert_eq!(last.reason(), "last_key");
    lets_in(&two).await;
    must_be(remove(&daemon, &second, "?force=true").await, 200).await;
    turns_away(&two).await;
    let gone = must_be(remove(&daemon, &second, "?force=true").await, 404).await;
    assert_eq!(gone.reason(), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_a_key_gets_one_by_the_command_that_its_create_names() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let made = daemon
        .create_as("alice", &key, json!({"sshKeys": []}))
        .await;
    let named = "`containarium ssh-key add alice FILE`";
    assert!(made.message.contains(named), "{}", made.message);
    turns_away(&key.login(&made.container)).await;
    must_be(add(&daemon, &key).await, 200).await;
    lets_in(&key.login(&made.container)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_and_a_frozen_container_know_their_keys_when_they_go_on() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let (first, second, third) = (Key::new(), Key::new(), Key::new());
    let container = alice(&daemon, &first).await;
    change_state(&bed, StateChange::freeze()).await;
    let added = must_be(add(&daemon, &second).await, 200).await;
    assert!(added.body.contains("once it goes on"), "{added:?}");
    change_state(&bed, StateChange::unfreeze()).await;
    lets_in(&second.login(&container)).await;

    power(&daemon, "stop").await;
    let added = must_be(add(&daemon, &third).await, 200).await;
    assert!(added.body.contains("once it is started"), "{added:?}");
    must_be(remove(&daemon, &first, "").await, 200).await;
    power(&daemon, "start").await;
    lets_in(&third.login(&container)).await;
    turns_away(&first.login(&container)).await;
    power(&daemon, "stop").await;
    must_be(add(&daemon, &first).await, 200).await;
    // What wrote the file does not hold on to the disk.
    daemon.delete("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_puts_in_the_way_is_replaced_or_told_and_leads_nowhere() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let (first, second) = (Key::new(), Key::new());
    let container = alice(&daemon, &first).await;
    let inside = first.login(&container);
    // Their own file is theirs, whatever becomes of the keys.
    let own = Key::new();
    inside
        .says(&format!("echo '{}' > .ssh/authorized_keys", own.public()))
        .await;

    // Links to a file that matters, and a pipe that nobody reads.
    for (number, trick) in [
        "ln -s /etc/hostname",
        "mkfifo",
        "ln -s /nowhere/at/all",
        "install -m 666 -o alice /dev/null",
    ]
    .into_iter()
    .enumerate()
    {
        let name = ["ssh_keys.2", "ssh_keys"][number % 2];
        own.login(&container)
            .says(&format!(
                "cd /etc/containarium && sudo rm -f {name} && sudo {trick} {name}"
            ))
            .await;
        must_be(add(&daemon, &second).await, 200).await;
        lets_in(&second.login(&container)).await;
        let shown = inside.says("ls -l /etc/containarium | grep ssh_keys").await;
        assert!(
            shown.starts_with("-rw-r--r-- 1 root root") && shown.lines().count() == 1,
            "after {trick}: {shown}"
        );
        must_be(remove(&daemon, &second, "").await, 200).await;
        turns_away(&second.login(&container)).await;
    }
    assert_eq!(inside.says("cat /etc/hostname").await, "alice-container");

    // What cannot be replaced is told, and nothing has changed.
    let owner = own.login(&container);
    for (trick, back) in [
        (
            "sudo mv /etc/containarium /etc/c && sudo ln -s c /etc/containarium",
            "sudo rm /etc/containarium && sudo mv /etc/c /etc/containarium",
        ),
        (
            "sudo mv /etc/containarium /etc/c && sudo touch /etc/containarium",
            "sudo rm /etc/containarium && sudo mv /etc/c /etc/containarium",
        ),
        (
            "sudo mkdir -p /etc/containarium/ssh_keys.2/x /etc/containarium/ssh_keys/x",
            "sudo rm -rf /etc/containarium/ssh_keys /etc/containarium/ssh_keys.2",
        ),
    ] {
        if trick.contains("mkdir") {
            owner.says("sudo rm -f /etc/containarium/ssh_keys*").await;
        }
        owner.says(trick).await;
        for answer in [
            add(&daemon, &second).await,
            remove(&daemon, &first, "?force=true").await,
        ] {
            let told = must_be(answer, 409).await;
            assert_eq!(told.reason(), "guest_changed", "{trick}: {told:?}");
        }
        owner.says(back).await;
    }
    let listed = daemon.ask_as_admin("GET", KEYS, None).await.json();
    assert_eq!(listed["sshKeys"].as_array().unwrap().len(), 1, "{listed}");
    owner.says("sudo rm -rf /etc/containarium").await;
    must_be(add(&daemon, &second).await, 200).await;
    lets_in(&second.login(&container)).await;
    lets_in(&first.login(&container)).await;
    lets_in(&owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sshd_reads_other_files_that_is_told_with_the_way_back() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let (first, second) = (Key::new(), Key::new());
    let container = alice(&daemon, &first).await;
    let inside = first.login(&container);
    let config = "/etc/ssh/sshd_config.d/10-containarium.conf";
    inside
        .says(&format!("sudo sed -i /AuthorizedKeysFile/d {config}"))
        .await;
    let told = must_be(add(&daemon, &second).await, 409).await;
    assert_eq!(told.reason(), "guest_changed");
    // From a pipe nothing ever comes; that is told as well, and soon.
    inside
        .says(&format!("sudo mv {config} c && sudo mkfifo {config}"))
        .await;
    let piped = must_be(remove(&daemon, &first, "?force=true").await, 409).await;
    assert_eq!(piped.reason(), "guest_changed");
    inside.says(&format!("sudo mv -f c {config}")).await;
    let hint = told.json()["hint"].as_str().unwrap().to_owned();
    let quoted: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
    let [line, reload] = quoted[..] else {
        panic!("{hint}")
    };
    inside
        .says(&format!("echo '{line}' | sudo tee -a {config} && {reload}"))
        .await;
    must_be(add(&daemon, &second).await, 200).await;
    lets_in(&second.login(&container)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_locks_nobody_out() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let (first, second, third) = (Key::new(), Key::new(), Key::new());
    let container = alice(&daemon, &first).await;
    must_be(add(&daemon, &second).await, 200).await;
    let inside = first.login(&container);
    // The same to the kernel as a disk that its user has filled, and there at once.
    limit(&bed, "16M").await;
    inside
        .refuses("head -c 1M /dev/zero > more && sync more")
        .await;
    let full = add(&daemon, &third).await;
    let removed = remove(&daemon, &second, "").await;
    assert_eq!(
        (full.status, full.reason().as_str()),
        (507, "insufficient_storage"),
        "{full:?}"
    );
    turns_away(&third.login(&container)).await;
    lets_in(&inside).await;
    assert_eq!(removed.reason(), "insufficient_storage", "{removed:?}");
    lets_in(&second.login(&container)).await;
    let listed = daemon.ask_as_admin("GET", KEYS, None).await.json();
    assert_eq!(listed["sshKeys"].as_array().unwrap().len(), 2, "{listed}");
    limit(&bed, "3G").await;
    must_be(add(&daemon, &third).await, 200).await;
    lets_in(&third.login(&container)).await;
    must_be(remove(&daemon, &second, "").await, 200).await;
    turns_away(&second.login(&container)).await;
}
