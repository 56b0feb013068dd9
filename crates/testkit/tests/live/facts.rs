//! What `create` says of a container is true inside it.

use std::process::Command;

use containarium_testkit::{Key, Login};
use serde_json::json;

use super::{SOON, booted, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_made_used_stopped_started_and_deleted() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let made = daemon.create_as("alice", &key, json!({})).await;
    let login = key.login(&made.container);
    assert_eq!(
        made.ssh_command,
        format!("ssh alice@{}", made.container.network.ip_address)
    );
    assert_eq!(login.says("id -un").await, "alice");
    assert_eq!(login.says("echo kept > note; cat note").await, "kept");

    let stop = daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(stop.status, 200, "{stop:?}");
    assert_eq!(stop.json()["container"]["state"], "stopped");
    let start = daemon
        .ask_as_admin("POST", "/v1/containers/alice/start", None)
        .await;
    assert_eq!(start.status, 200, "{start:?}");
    // Answered when a login works, at the address of before, with all that was there.
    assert_eq!(login.says("cat note").await, "kept");

    daemon.delete("alice").await;
    assert!(bed.instances().await.is_empty());
    let gone = daemon
        .ask_as_admin("GET", "/v1/containers/alice", None)
        .await;
    assert_eq!(gone.status, 404, "{gone:?}");
    bed.emptied(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_identity_are_true_inside() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let container = daemon.create("alice", &key).await;
    let login = key.login(&container);
    assert_eq!(login.says("nproc").await, "1");
    assert_eq!(
        login
            .says("awk '/^MemTotal/ { print $2 }' /proc/meminfo")
            .await,
        "524288"
    );
    assert_eq!(login.says("hostname").await, "alice-container");
    assert_eq!(login.says("id -un; sudo -n id -un").await, "alice\nroot");
    assert!(
        login
            .says("id -nG")
            .await
            .split(' ')
            .any(|group| group == "docker")
    );
    booted(&login).await;
    let address = login
        .says("ip -4 -o addr show eth0 | awk '{ print $4 }'")
        .await;
    assert_eq!(address, format!("{}/16", container.network.ip_address));
    assert_eq!(
        login.says("cat /sys/class/net/eth0/address").await,
        container.network.mac_address
    );
    // What is not ours is not let in: the keys of others, passwords, root.
    let other = Key::new().login(&container).run("true").await;
    assert_eq!(other.status, 255, "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_unprivileged_and_has_no_way_to_the_engine() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let first = key.login(&daemon.create("alice", &key).await);
    let second = key.login(&daemon.create("bob", &key).await);
    let range = async |login: &Login| {
        let map = login.says("cat /proc/self/uid_map").await;
        let numbers: Vec<u32> = map.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert!(
            matches!(numbers[..], [0, base, 65536] if base >= bed.installation.uid_first),
            "{map}"
        );
        numbers[1]
    };
    assert_ne!(
        range(&first).await,
        range(&second).await,
        "two containers share user ids"
    );
    first.says("test ! -e /dev/incus").await;
    // Its root is nobody on the host.
    first
        .refuses("sudo sh -c 'echo 3 > /proc/sys/vm/drop_caches'")
        .await;
    first.refuses("sudo mknod /tmp/disk b 7 0").await;
    first.refuses("sudo mount -t btrfs /dev/loop0 /mnt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_past_the_quota_fails() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    let said = login.refuses("head -c 4G /dev/zero > big").await;
    assert!(
        said.contains("quota") || said.contains("No space"),
        "{said}"
    );
    let size: u64 = login.says("stat -c %s big").await.parse().unwrap();
    assert!((1_000_000_000..3_000_000_000).contains(&size), "{size}");
    // Room that is given back can be used.
    login
        .says("rm big && sync && head -c 100M /dev/zero > small")
        .await;
}

/// Tries each ioctl that makes a subvolume, for which the quota would not count, and prints errno.
const SUBVOLUME: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
int main(void) {
  unsigned long calls[] = {0x5000940e, 0x50009418, 0x50009401, 0x50009417};
  int here = open(".", O_RDONLY);
  for (int i = 0; i < 4; i++) {
    char arguments[4096] = {0};
    memcpy(arguments, &here, sizeof here);
    strcpy(arguments + (i % 2 ? 56 : 8), "escaped");
    errno = 0;
    ioctl(here, calls[i], arguments);
    /* The kernel ignores the upper half of the number, so a filter must too. */
    int plain = errno;
    errno = 0;
    ioctl(here, calls[i] | 0xffffffff00000000UL, arguments);
    printf("%d %d\n", plain, errno);
  }
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_subvolume_is_no_way_out_of_the_quota() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("s.c"), dir.path().join("s"));
    std::fs::write(&source, SUBVOLUME).unwrap();
    let built = Command::new("cc")
        .arg("-static")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
    let key = Key::new();
    let login = key.login(&daemon.create("alice", &key).await);
    login
        .push(&std::fs::read(&program).unwrap(), "subvolume")
        .await;
    let refused = ["1 1"; 4].join("\n");
    assert_eq!(
        login.says("./subvolume").await,
        refused,
        "as an ordinary user"
    );
    assert_eq!(
        login.says("sudo ./subvolume").await,
        refused,
        "as the container's root"
    );
    login.says("test ! -e escaped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_docker_there_is_no_trace_of_it() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let made = daemon
        .create_as("alice", &key, json!({"enableDocker": false}))
        .await;
    assert!(!made.container.docker_enabled);
    let login = key.login(&made.container);
    assert!(!login.says("id -nG").await.contains("docker"));
    login.refuses("command -v dockerd").await;
    booted(&login).await;
    let instance = bed.instances().await.remove(0);
    assert_eq!(instance.config["security.nesting"], "false");
}
