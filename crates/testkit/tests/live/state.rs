//! What a container is said to be doing is so: `running` means that a login works, whoever started it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without a key gives null"
)]

use std::time::Duration;

use containarium_core::Role;
use containarium_incus::StateChange;
use containarium_testkit::{Bed, Key, Listener, TestDaemon, wait_for};
use serde_json::Value;

use super::{SOON, start};

/// How long Incus may take to start or kill an instance.
pub(crate) const CHANGE: Duration = Duration::from_secs(60);

/// A container, as the daemon tells of it.
pub(crate) async fn told(daemon: &TestDaemon, username: &str) -> Value {
    let path = format!("/v1/containers/{username}");
    let got = daemon.ask_as_admin("GET", &path, None).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.json()["container"].clone()
}

/// Waits until it is told to be in this state.
pub(crate) async fn becomes(daemon: &TestDaemon, username: &str, state: &str) -> Value {
    wait_for(SOON, state, async || {
        let now = told(daemon, username).await;
        if now["state"] == state {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await
}

/// Listens with the token of the owner, who is no admin.
pub(crate) async fn listen(daemon: &TestDaemon, owner: &str) -> Listener {
    Listener::of(daemon, &daemon.token(owner, &[Role::User])).await
}

/// Changes the state of the only instance past the daemon.
pub(crate) async fn past_us(bed: &Bed, change: &StateChange) {
    let name = bed.instances().await.remove(0).name;
    // A new one may just be being marked as ready.
    wait_for(SOON, "Incus takes it", async || {
        let begun = bed.incus().change_state(&name, change).await.unwrap();
        match bed.incus().wait(&begun, CHANGE).await {
            Err(busy @ containarium_incus::Error::Busy(_)) => Err(busy),
            other => {
                other.unwrap();
                Ok(())
            }
        }
    })
    .await;
}

/// The next event of a container, which is to be of this state.
pub(crate) async fn hears(events: &mut Listener, state: &str) -> Value {
    let event = events.container(SOON).await;
    assert_eq!(event["state"], state, "{event}");
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reboots_from_inside_is_starting_before_it_is_running() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let mut events = listen(&daemon, "alice").await;
    // The connection breaks while the command runs.
    let _broken = login.run("sudo reboot").await;
    becomes(&daemon, "alice", "starting").await;
    let running = becomes(&daemon, "alice", "running").await;
    login.says("true").await;
    assert!(running["lastExit"].is_null(), "it did not stop: {running}");
    hears(&mut events, "starting").await;
    hears(&mut events, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_incus_starts_or_restarts_is_starting_before_it_is_running() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let mut events = listen(&daemon, "alice").await;
    past_us(&bed, &StateChange::start()).await;
    becomes(&daemon, "alice", "starting").await;
    becomes(&daemon, "alice", "running").await;
    login.says("true").await;
    hears(&mut events, "starting").await;
    hears(&mut events, "running").await;

    past_us(&bed, &StateChange::restart(CHANGE)).await;
    becomes(&daemon, "alice", "starting").await;
    becomes(&daemon, "alice", "running").await;
    login.says("true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_frozen_past_us_is_told_so_and_thawed_by_a_start() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let freeze = StateChange::freeze();
    past_us(&bed, &freeze).await;
    becomes(&daemon, "alice", "frozen").await;
    let started = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(
        started.json()["container"]["state"],
        "running",
        "{started:?}"
    );
    login.says("true").await;
    past_us(&bed, &freeze).await;
    becomes(&daemon, "alice", "frozen").await;
    let stopped = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(
        stopped.json()["container"]["state"],
        "stopped",
        "{stopped:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_sshd_is_dead_is_in_error_until_it_lives_again() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let mut events = listen(&daemon, "alice").await;
    // It comes back by itself, because nobody can log in to start it.
    login
        .says("sudo systemd-run --on-active=10 --timer-property=AccuracySec=100ms systemctl start ssh && sudo systemctl stop ssh")
        .await;
    let wrong = becomes(&daemon, "alice", "error").await;
    let detail = wrong["detail"].as_str().unwrap();
    assert!(detail.contains("sshd does not answer"), "{wrong}");
    hears(&mut events, "error").await;
    becomes(&daemon, "alice", "running").await;
    hears(&mut events, "running").await;
    login.says("true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_daemon_finds_out_whether_logins_work() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let daemon = TestDaemon::impatient(&bed).await;
    let key = Key::new();
    key.login(&daemon.create("alice", &key).await);
    let bob = key.login(&daemon.create("bob", &key).await);
    bob.says("sudo systemctl stop ssh").await;
    let daemon = daemon.restarted().await;
    let first = told(&daemon, "bob").await;
    assert_eq!(first["state"], "starting", "{first}");
    becomes(&daemon, "alice", "running").await;
    let wrong = wait_for(SOON, "error", async || {
        let now = told(&daemon, "bob").await;
        if now["state"] == "error" {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await;
    assert!(
        wrong["detail"].as_str().unwrap().contains("sshd"),
        "{wrong}"
    );
    // A start of it says the same, and why.
    let started = daemon
        .ask_as_admin("POST", "/v1/containers/bob/stop", None)
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    let started = daemon
        .ask_as_admin("POST", "/v1/containers/bob/start", None)
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    bob.says("true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_container_writes_nothing_into_its_journal() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    // Without what logins write; a busy guest's journal counts the ends of some to ssh itself.
    let lines = "sudo journalctl -u ssh -o cat | grep -v 'alice\\|pam_\\|disconnected by user'";
    login.says("true").await;
    let before = login.run(lines).await.stdout;
    let end = tokio::time::Instant::now() + Duration::from_secs(7);
    wait_for(SOON, "a while of looking is over", async || {
        told(&daemon, "alice").await;
        if tokio::time::Instant::now() > end {
            Ok(())
        } else {
            Err(())
        }
    })
    .await;
    assert_eq!(login.run(lines).await.stdout, before);
}
