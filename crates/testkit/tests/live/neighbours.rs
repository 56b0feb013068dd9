//! Two tenants on one bridge.

use containarium_testkit::{Key, Login};

use super::start;

/// Whether a TCP connection to this port succeeds from inside.
async fn reaches(login: &Login, host: &str, port: u16) -> bool {
    login
        .run(&format!("timeout 3 bash -c '</dev/tcp/{host}/{port}'"))
        .await
        .status
        == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_reach_the_world_and_not_each_other() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let (alice, bob) = (
        daemon.create("alice", &key).await,
        daemon.create("bob", &key).await,
    );
    let (at_alice, at_bob) = (key.login(&alice), key.login(&bob));
    assert!(
        reaches(&at_alice, &alice.network.ip_address, 22).await,
        "the probe itself works"
    );
    assert!(
        !reaches(&at_alice, &bob.network.ip_address, 22).await,
        "alice reaches bob"
    );
    assert!(
        !reaches(&at_bob, &alice.network.ip_address, 22).await,
        "bob reaches alice"
    );

    // Its own package mirror, which is the one place that every machine with containers reaches.
    let mirror = "curl -sS -o /dev/null --max-time 10 -w '%{http_code}' \
                  $(grep -rhoE 'https?://[^] ]+' /etc/apt/sources.list /etc/apt/sources.list.d | head -n 1)";
    for login in [&at_alice, &at_bob] {
        assert!(
            login.says(mirror).await.starts_with(['2', '3', '4']),
            "no way out"
        );
    }

    // A sender that is not its own is dropped: with it, the same call has no answer.
    let spoofed = bob.network.ip_address.replace(".0.", ".9.");
    at_alice
        .says(&format!("sudo ip addr add {spoofed}/16 dev eth0"))
        .await;
    at_alice
        .refuses(&mirror.replace(
            "--max-time 10",
            &format!("--max-time 4 --interface {spoofed}"),
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_reach_no_port_of_the_host_but_names() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    // Such as a database that somebody started, and forgot.
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let gateway = bed.installation.gateway.to_string();
    assert!(reaches(&login, &gateway, 53).await, "names are answered");
    assert!(
        !reaches(&login, &gateway, port).await,
        "alice reaches a port of the host"
    );
    let uplink = login
        .says("ip -4 route get 198.51.100.1 | grep -o 'via [0-9.]*' | cut -d' ' -f2")
        .await;
    assert_eq!(uplink.trim(), gateway);
    for address in own_addresses() {
        assert!(
            !reaches(&login, &address, port).await,
            "alice reaches {address}"
        );
    }

    // Without the rules it would: the probe itself works.
    let table = format!("containarium_{}", bed.installation.name);
    let nft = |line: &str| {
        let ran = std::process::Command::new("nft")
            .args(line.split(' '))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{line}: {ran:?}");
    };
    nft(&format!("delete table inet {table}"));
    assert!(
        reaches(&login, &gateway, port).await,
        "the rules made the difference"
    );
    // The next daemon sets them again.
    let _daemon = daemon.restarted().await;
    assert!(!reaches(&login, &gateway, port).await, "the rules are back");
}

/// The host's addresses on links that are up and no container's.
fn own_addresses() -> Vec<String> {
    let told = std::process::Command::new("hostname")
        .arg("-I")
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let ipv4 = told
        .split_whitespace()
        .filter(|address| !address.contains(':'));
    ipv4.take(2).map(str::to_owned).collect()
}
