//! Standbys on a real Incus: what their user sees is what a container shows that was made for him.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use containarium_contract::{Created, ServedFrom};
use containarium_incus::Instance;
use containarium_testkit::{Bed, Key, Login, TestDaemon, wait_for};
use serde_json::json;

use super::{SOON, booted, tagged};

/// Waits until so many could be taken.
async fn ready(daemon: &TestDaemon, count: u64) {
    wait_for(SOON * 2, "standbys wait", async || {
        let info = daemon.ask_as_admin("GET", "/v1/system/info", None).await;
        let info = info.json();
        let ready = info.pointer("/info/standby/0/ready").cloned();
        if ready.as_ref().and_then(serde_json::Value::as_u64) == Some(count) {
            Ok(())
        } else {
            Err(info)
        }
    })
    .await;
}

async fn create(daemon: &TestDaemon, name: &str, key: &Key) -> (Created, Duration) {
    // More of each than a standby has.
    let fields =
        json!({"resources": {"cpu": "2", "memory": "700MB", "disk": "5GB"}, "labels": {"a": "b"}});
    let begun = Instant::now();
    let created = daemon.create_as(name, key, fields).await;
    (created, begun.elapsed())
}

/// What a user of a container sees of it, in words that would be the same in another's.
async fn seen(login: &Login, name: &str) -> BTreeMap<&'static str, String> {
    let looks = [
        ("name", "uname -n; hostname; cat /etc/hostname /etc/hosts"),
        (
            "user",
            "id; id -Gn; whoami; pwd; echo $HOME $SHELL; getent passwd $USER",
        ),
        (
            "home",
            "ls -lAn --time-style=+ ~ ~/.ssh; stat -c '%a %u %g' ~",
        ),
        (
            "sudo",
            "sudo -n id -u; sudo cat /etc/sudoers.d/90-containarium",
        ),
        ("cpus", "nproc"),
        ("memory", "awk '/MemTotal/ { print $2 }' /proc/meminfo"),
        (
            "processes",
            "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max",
        ),
        // Which loop device or host's mount it is differs from one container to the next.
        (
            "mounts",
            "awk '{ print $3, $2 }' /proc/mounts | grep -v '/run/user' | sort",
        ),
        (
            "network",
            "ip -o -4 addr show eth0 | awk '{ print $3 }'; ip route | sed 's/[0-9.]*\\/16/NET/; s/src [0-9.]*/src/'",
        ),
        (
            "identity",
            "sudo stat -c '%n %a %u %g' /etc/containarium/*; sudo grep -v '^address\\|^instance' /etc/containarium/identity",
        ),
        ("keys", "sudo cat /etc/containarium/ssh_keys"),
        (
            "groups",
            "grep -w \"$USER\" /etc/group; sudo grep -w \"$USER\" /etc/gshadow",
        ),
        (
            "units",
            "systemctl --failed --no-legend; systemctl list-units --no-legend --plain --state=running | awk '{ print $1 }' | grep -v '^session-\\|^user' | sort",
        ),
        (
            "docker",
            "docker run --rm hello 2>&1 | head -c 0; docker info --format '{{.Driver}}'",
        ),
    ];
    let mut seen = BTreeMap::new();
    for (what, command) in looks {
        let said = login.run(command).await;
        let text = format!("{} {}", said.status, said.stdout);
        seen.insert(what, text.replace(name, "NAME"));
    }
    seen
}

/// What each container has alone.
async fn alone(login: &Login) -> Vec<String> {
    let mut all = Vec::new();
    for command in [
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "cat /sys/class/net/eth0/address",
    ] {
        all.push(login.says(command).await);
    }
    all
}

/// Her instance.
async fn instance_of(bed: &Bed, name: &str) -> Instance {
    let is_it = |one: &Instance| {
        let tag = one.config.get("user.containarium.username");
        tag.is_some_and(|tag| tag == name)
    };
    let mut all = bed.instances().await.into_iter();
    all.find(is_it).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alice_sees_from_standby_is_what_she_sees_cold() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let daemon = TestDaemon::with_standbys(&bed, 1).await;
    let key = Key::new();
    ready(&daemon, 1).await;
    let metrics = daemon.ask_as_admin("GET", "/metrics", None).await.body;
    let image = &bed.installation.default_image;
    for what in ["wanted", "ready"] {
        let line = format!("containarium_standby_{what}{{image=\"{image}\",docker=\"true\"}} 1\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    let (served, took) = create(&daemon, "alice", &key).await;
    assert_eq!(served.served_from, ServedFrom::Standby, "{served:?}");
    println!("from standby in {took:?}");
    let alice = key.login(&served.container);
    assert_eq!(alice.says("uname -n").await.trim(), "alice-container");
    // Cold, because the next is not there yet, or there is none.
    let daemon = daemon.restarted_with_standbys(0).await;
    let (cold, took) = create(&daemon, "carol", &key).await;
    assert_eq!(cold.served_from, ServedFrom::Cold, "{cold:?}");
    println!("cold in {took:?}");
    let carol = key.login(&cold.container);
    for login in [&alice, &carol] {
        booted(login).await;
    }
    // Incus spreads cores a moment after it has answered.
    let cores = carol.says("nproc").await;
    wait_for(SOON, "she has her cores", async || {
        let hers = alice.says("nproc").await;
        if hers == cores {
            Ok(())
        } else {
            Err((hers, &cores))
        }
    })
    .await;
    let (hers, other) = (seen(&alice, "alice").await, seen(&carol, "carol").await);
    for (what, text) in &hers {
        assert_eq!(Some(text), other.get(what), "{what}");
    }
    let (hers, other) = (alone(&alice).await, alone(&carol).await);
    for (hers, other) in hers.iter().zip(&other) {
        assert_ne!(hers, other);
    }
    // The instances say the same of themselves, but for what is each one's own.
    tagged(&bed.incus()).await;
    let mut configs = Vec::new();
    for (name, own) in [("alice", &served), ("carol", &cold)] {
        let mut one = instance_of(&bed, name).await;
        let own_keys = ["id", "created", "address"].map(|key| format!("user.containarium.{key}"));
        one.config.retain(|key, _| {
            !own_keys.contains(key) && key != "security.idmap.base" && !key.starts_with("volatile.")
        });
        for value in one.config.values_mut() {
            *value = value.replace(name, "NAME");
        }
        let nic = one.devices.get_mut("eth0").unwrap();
        assert_eq!(
            nic.remove("ipv4.address"),
            Some(own.container.network.ip_address.to_string())
        );
        nic.remove("hwaddr");
        configs.push((one.config, one.devices));
    }
    let mut configs = configs.into_iter();
    assert_eq!(configs.next(), configs.next());

    // What bounds her does: the disk ends where she was told, and the memory.
    let said = alice
        .run("head -c 6G /dev/zero > big; stat -c %s big; rm -f big")
        .await;
    let written: u64 = said.stdout.trim().parse().unwrap();
    assert!(written < 5_000_000_000, "{written}");

    // It stays hers over a restart.
    for change in ["stop", "start"] {
        let path = format!("/v1/containers/alice/{change}");
        let changed = daemon.ask_as_admin("POST", &path, None).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    assert_eq!(alice.says("uname -n").await.trim(), "alice-container");
    daemon.delete("alice").await;
    daemon.delete("carol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_from_standby_take_milliseconds() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let daemon = TestDaemon::with_standbys(&bed, 1).await;
    let key = Key::new();
    let mut times = Vec::new();
    for n in 0..5 {
        ready(&daemon, 1).await;
        let name = format!("user{n}");
        let (created, took) = create(&daemon, &name, &key).await;
        assert_eq!(created.served_from, ServedFrom::Standby, "{created:?}");
        times.push(took);
        key.login(&created.container).says("true").await;
    }
    times.sort();
    println!("{times:?}");
    // A boot alone takes longer, on any machine.
    assert!(times[2] < Duration::from_millis(400), "{times:?}");
}
