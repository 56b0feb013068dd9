//! Keys on an incusd in memory: what is listed, what is written, what a failure leaves.

#![expect(clippy::unwrap_used, reason = "a test may")]

use containarium_contract::{
    AddSshKey, Fingerprint, GetContainer, ListSshKeys, Reason, RemoveSshKey, SshKeysChanged,
    SshPublicKey,
};
use containarium_core::{Containarium, Error, Principal, Role, Settings, Store};
use containarium_incus::{FileKind, FilePost, StateChange};
use containarium_incus_sim::{Fault, On};
use containarium_testkit::Simulated;
use serde_json::json;

const DIR: &str = "/etc/containarium";
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config.d/10-containarium.conf";

/// The service with a container of alice, who has the keys 1 and 2.
struct Bed {
    core: Containarium,
    there: Simulated,
    instance: String,
}

/// `subnet` keeps tests that run side by side apart.
async fn bed(subnet: u8) -> Bed {
    let there = Simulated::on(subnet).await;
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    // One of them twice: that is one.
    let keys = [key(1), key(2), key(1)];
    let ask = json!({"username": "alice", "sshKeys": keys});
    core.create(&admin(), serde_json::from_value(ask).unwrap())
        .await
        .unwrap();
    let instance = there.incus.instances().await.unwrap().remove(0).name;
    Bed {
        core,
        there,
        instance,
    }
}

fn admin() -> Principal {
    Principal {
        subject: "root".parse().unwrap(),
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    }
}

/// One of many keys: any 43 characters do.
fn key(number: u32) -> SshPublicKey {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:0>43} {number}@laptop")
        .parse()
        .unwrap()
}

fn fingerprint(number: u32) -> Fingerprint {
    key(number).fingerprint().clone()
}

impl Bed {
    async fn add(&self, number: u32) -> Result<SshKeysChanged, Error> {
        let (username, key) = ("alice".parse().unwrap(), key(number));
        self.core
            .add_ssh_key(&admin(), AddSshKey { username, key })
            .await
    }

    async fn remove(&self, number: u32, force: bool) -> Result<SshKeysChanged, Error> {
        let ask = RemoveSshKey {
            username: "alice".parse().unwrap(),
            fingerprint: fingerprint(number),
            force,
        };
        self.core.remove_ssh_key(&admin(), ask).await
    }

    /// The comments of the keys that are listed; the container shows the same keys.
    async fn listed(&self) -> Vec<String> {
        let username = || "alice".parse().unwrap();
        let ask = ListSshKeys {
            username: username(),
        };
        let listed = self.core.list_ssh_keys(&admin(), ask).await.unwrap();
        let ask = GetContainer {
            username: username(),
        };
        let shown = self.core.get(&admin(), ask).await.unwrap().container;
        let of_shown: Vec<_> = shown.ssh_keys.iter().map(|k| k.fingerprint()).collect();
        let of_listed: Vec<_> = listed.ssh_keys.iter().map(|k| &k.fingerprint).collect();
        assert_eq!(of_shown, of_listed);
        listed.ssh_keys.into_iter().map(|k| k.comment).collect()
    }

    /// The same for the keys that sshd would read. Fails the test where a line is no key.
    async fn in_force(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for name in self.files().await {
            let path = format!("{DIR}/{name}");
            let content = self.there.incus.pull_file(&self.instance, &path).await;
            let content = String::from_utf8(content.unwrap()).unwrap();
            keys.extend(content.lines().map(comment));
        }
        keys
    }

    /// The same for the keys on the instance's tag.
    async fn tagged(&self) -> Vec<String> {
        let instance = self.there.incus.instance(&self.instance).await.unwrap();
        let tag = instance.value.config.get("user.containarium.ssh_keys");
        tag.map_or("", String::as_str)
            .lines()
            .map(comment)
            .collect()
    }

    async fn files(&self) -> Vec<String> {
        self.there
            .incus
            .list_directory(&self.instance, DIR)
            .await
            .unwrap()
    }

    async fn everywhere(&self) -> [Vec<String>; 3] {
        [
            self.listed().await,
            self.in_force().await,
            self.tagged().await,
        ]
    }

    async fn change_state(&self, change: StateChange) {
        let begun = self.there.incus.change_state(&self.instance, &change).await;
        let end = std::time::Duration::from_secs(10);
        self.there.incus.wait(&begun.unwrap(), end).await.unwrap();
    }

    async fn tenant_deletes(&self, path: &str) {
        self.there
            .incus
            .delete_file(&self.instance, path)
            .await
            .unwrap();
    }

    async fn tenant_makes(&self, path: &str, kind: FileKind) {
        let post = FilePost {
            kind,
            ..FilePost::root(0o755)
        };
        let made = self
            .there
            .incus
            .push_file(&self.instance, path, &post, Vec::new());
        made.await.unwrap();
    }
}

fn comment(line: &str) -> String {
    line.parse::<SshPublicKey>().unwrap().comment().to_owned()
}

fn all(keys: &[&str]) -> [Vec<String>; 3] {
    let keys: Vec<String> = keys.iter().map(|n| format!("{n}@laptop")).collect();
    [keys.clone(), keys.clone(), keys]
}

/// The kind of an error, as its caller is told it.
fn reason(error: &Error) -> Reason {
    containarium_core::Fault::from(error).reason
}

#[tokio::test]
async fn keys_come_and_go_in_the_list_the_file_and_the_tag() {
    let bed = bed(171).await;
    assert_eq!(bed.listed().await, all(&["1", "2"])[0]);
    for (number, now) in [(3, all(&["1", "2", "3"])), (4, all(&["1", "2", "3", "4"]))] {
        let added = bed.add(number).await.unwrap();
        let wanted = format!("{} may log in to alice-container now.", fingerprint(number));
        assert_eq!(added.message, wanted);
        assert_eq!(bed.everywhere().await, now);
    }
    let removed = bed.remove(2, false).await.unwrap();
    assert!(
        removed.message.contains("no longer logs in"),
        "{}",
        removed.message
    );
    assert_eq!(removed.ssh_keys.len(), 3);
    assert_eq!(bed.everywhere().await, all(&["1", "3", "4"]));
    assert_eq!(bed.files().await.len(), 1);
}

#[tokio::test]
async fn a_key_that_is_there_already_is_said_to_be_and_written_again() {
    let bed = bed(172).await;
    bed.add(3).await.unwrap();
    for name in bed.files().await {
        bed.tenant_deletes(&format!("{DIR}/{name}")).await;
    }
    let again = bed.add(3).await.unwrap();
    assert!(again.message.ends_with("already."), "{}", again.message);
    assert_eq!(bed.everywhere().await, all(&["1", "2", "3"]));
}

#[tokio::test]
async fn a_key_that_is_not_there_is_told_those_that_are() {
    let bed = bed(173).await;
    let refused = bed.remove(9, true).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::NotFound, "{refused:?}");
    let told = refused.to_string();
    let there = format!("those that may are: {}, {}", fingerprint(1), fingerprint(2));
    assert!(told.ends_with(&there), "{told}");
    assert_eq!(bed.listed().await.len(), 2);
}

#[tokio::test]
async fn the_last_key_goes_only_with_force() {
    let bed = bed(174).await;
    bed.remove(1, false).await.unwrap();
    let refused = bed.remove(2, false).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::LastKey, "{refused:?}");
    assert_eq!(bed.everywhere().await, all(&["2"]));
    let removed = bed.remove(2, true).await.unwrap();
    assert!(removed.message.contains("last key"), "{}", removed.message);
    assert_eq!(bed.everywhere().await, all(&[]));
    bed.add(2).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["2"]));
}

#[tokio::test]
async fn there_are_never_more_than_a_hundred() {
    let bed = bed(175).await;
    for number in 3..=100 {
        bed.add(number).await.unwrap();
    }
    let refused = bed.add(101).await.unwrap_err();
    assert!(refused.to_string().contains("more than 100"), "{refused:?}");
    bed.add(100).await.unwrap();
    bed.remove(50, false).await.unwrap();
    bed.add(101).await.unwrap();
    let keys: Vec<_> = (0..101).map(key).collect();
    let ask = json!({"username": "bob", "sshKeys": keys});
    let ask = serde_json::from_value(ask).unwrap();
    let refused = bed.core.create(&admin(), ask).await.unwrap_err();
    assert!(matches!(refused, Error::TooManyKeys { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_stopped_and_a_frozen_container_take_keys_too() {
    let bed = bed(176).await;
    bed.change_state(StateChange::freeze()).await;
    let added = bed.add(3).await.unwrap().message;
    assert!(added.ends_with("once it goes on."), "{added}");
    bed.change_state(StateChange::kill()).await;
    let added = bed.add(4).await.unwrap().message;
    assert!(added.ends_with("once it is started."), "{added}");
    bed.remove(1, false).await.unwrap();
    bed.change_state(StateChange::start()).await;
    assert_eq!(bed.everywhere().await, all(&["2", "3", "4"]));
}

#[tokio::test]
async fn a_list_that_cannot_be_written_leaves_the_one_before() {
    let bed = bed(177).await;
    bed.add(3).await.unwrap();
    let refuse = || Fault::Refuse {
        code: 500,
        text: "sftp: \"Failure\"".into(),
    };
    for fault in [refuse(), Fault::CutAnswer] {
        bed.there.sim.fail_next(On::PutFile, fault.clone());
        let failed = bed.add(4).await.unwrap_err();
        let told = [Reason::GuestChanged, Reason::EngineUnavailable];
        assert!(told.contains(&reason(&failed)), "{failed:?}");
        bed.there.sim.fail_next(On::PutFile, fault);
        bed.remove(1, false).await.unwrap_err();
        assert_eq!(bed.everywhere().await, all(&["1", "2", "3"]));
    }
    bed.there.sim.fail_next(On::DeleteFile, refuse());
    bed.remove(1, false).await.unwrap_err();
    assert_eq!(bed.everywhere().await, all(&["1", "2", "3"]));
    bed.remove(1, false).await.unwrap();
    bed.add(4).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["2", "3", "4"]));
}

#[tokio::test]
async fn a_change_that_breaks_off_is_completed_by_the_same_again() {
    let bed = bed(178).await;
    let refuse = || Fault::Refuse {
        code: 500,
        text: "no".into(),
    };
    bed.there.sim.fail_next(On::Patch, refuse());
    bed.add(3).await.unwrap_err();
    // It logs in, and it is listed: nobody is let in who is not.
    assert_eq!(bed.listed().await, bed.in_force().await);
    bed.add(3).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["1", "2", "3"]));

    bed.there.sim.fail_next(On::Patch, refuse());
    bed.remove(1, false).await.unwrap_err();
    assert_eq!(bed.listed().await.len(), 3);
    assert_eq!(bed.in_force().await.len(), 2);
    bed.remove(1, false).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["2", "3"]));

    // Both files are there: the daemon ended between writing one and removing the other.
    for name in ["ssh_keys", "ssh_keys.2"] {
        let content = format!("{}\n", key(7)).into_bytes();
        let path = format!("{DIR}/{name}");
        let post = FilePost::root(0o644);
        let incus = &bed.there.incus;
        incus
            .push_file(&bed.instance, &path, &post, content)
            .await
            .unwrap();
    }
    bed.remove(2, false).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["3"]));
}

#[tokio::test]
async fn where_sshd_does_not_read_the_files_nothing_is_changed() {
    let bed = bed(179).await;
    bed.add(3).await.unwrap();
    bed.tenant_deletes(SSHD_CONFIG).await;
    let refused = bed.add(4).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::GuestChanged, "{refused:?}");
    let refused = bed.remove(1, false).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::GuestChanged, "{refused:?}");
    assert_eq!(bed.everywhere().await, all(&["1", "2", "3"]));
}

#[tokio::test]
async fn what_a_tenant_does_to_the_directory_is_mended_or_told() {
    let bed = bed(180).await;
    bed.add(3).await.unwrap();
    for name in bed.files().await {
        bed.tenant_deletes(&format!("{DIR}/{name}")).await;
    }
    bed.tenant_deletes(DIR).await;
    bed.add(4).await.unwrap();
    assert_eq!(bed.everywhere().await, all(&["1", "2", "3", "4"]));

    for name in bed.files().await {
        bed.tenant_deletes(&format!("{DIR}/{name}")).await;
    }
    bed.tenant_deletes(DIR).await;
    bed.tenant_makes(DIR, FileKind::File).await;
    let told = bed.add(5).await.unwrap_err();
    assert_eq!(reason(&told), Reason::GuestChanged, "{told:?}");
    let told = bed.remove(1, false).await.unwrap_err();
    assert_eq!(reason(&told), Reason::GuestChanged, "{told:?}");
    assert_eq!(bed.listed().await.len(), 4);
}

#[tokio::test]
async fn of_two_changes_at_once_none_is_lost() {
    let bed = bed(181).await;
    let (a, b, c) = tokio::join!(bed.add(3), bed.remove(1, false), bed.add(4));
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
    // Who came first is nobody's business.
    let everywhere = bed.everywhere().await.map(|mut keys| {
        keys.sort();
        keys
    });
    assert_eq!(everywhere, all(&["2", "3", "4"]));
}

#[tokio::test]
async fn keys_outlive_the_daemon() {
    let bed = bed(182).await;
    bed.add(3).await.unwrap();
    bed.remove(1, false).await.unwrap();
    let Bed {
        core,
        there,
        instance,
    } = bed;
    core.close(std::time::Duration::from_secs(5)).await;
    let store = Store::open(there.state.path()).unwrap();
    let core = Containarium::open(store, &there.incus, Settings::default())
        .await
        .unwrap();
    let bed = Bed {
        core,
        there,
        instance,
    };
    assert_eq!(bed.everywhere().await, all(&["2", "3"]));
}
