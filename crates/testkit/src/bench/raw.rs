//! The same containers without a daemon: by the requests that Incus needs, and by its command.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use containarium_incus::{Client, Error, Instance, InstancePost, Source, StateChange};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The longest that one change may take.
const LONG: Duration = Duration::from_secs(300);
/// Ids of the host that one container has.
const UIDS: u32 = 65_536;
/// So many ranges of ids after the model's: the daemon gives out the first ones.
const APART: u32 = 256;

/// Incus, asked past the daemon.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    /// In the installation's project.
    pub(super) incus: Client,
    socket: PathBuf,
    project: String,
}

/// What the daemon asked Incus for, to be asked for again under other names and addresses.
#[derive(Clone, Debug)]
pub(super) struct Model {
    post: InstancePost,
    fingerprint: String,
    uids: u32,
    /// The last address of the subnet.
    last: u32,
}

impl Raw {
    /// Incus at this socket.
    pub(super) fn new(socket: &Path, project: &str) -> Self {
        Self {
            incus: Client::unix(socket).in_project(project),
            socket: socket.to_owned(),
            project: project.to_owned(),
        }
    }

    /// The instance of a container of the daemon's.
    pub(super) async fn instance_of(&self, username: &str) -> Instance {
        let all = self.incus.instances().await.unwrap();
        let tag = |one: &Instance| one.config.get("user.containarium.username").cloned();
        let mut all = all.into_iter();
        all.find(|one| tag(one).as_deref() == Some(username))
            .unwrap_or_else(|| panic!("no instance is tagged as the container of `{username}`"))
    }

    /// What the daemon asked for when it made the container of `username`.
    pub(super) async fn model(&self, username: &str) -> Model {
        let made = self.instance_of(username).await;
        let fingerprint = made.config["volatile.base_image"].clone();
        let network = self.incus.network(&made.devices["eth0"]["network"]);
        let network = network.await.unwrap();
        let uids = made.config["security.idmap.base"].parse().unwrap();
        let mut post = InstancePost::new("", Source::fingerprint(&fingerprint));
        post.description = made.description;
        post.start = true;
        // What Incus wrote itself; and the tag that would make it the daemon's.
        let foreign = |key: &str| {
            key.starts_with("volatile.")
                || key.starts_with("image.")
                || key == "user.containarium.install"
        };
        post.config = made.config;
        post.config.retain(|key, _| !foreign(key));
        post.devices = made.devices;
        Model {
            post,
            fingerprint,
            uids,
            last: last_address(&network.config["ipv4.address"]),
        }
    }

    /// Makes and starts one.
    pub(super) async fn create(&self, post: &InstancePost) {
        let made = self.incus.create_instance(post).await.unwrap();
        self.incus.wait(&made, LONG).await.unwrap();
    }

    /// Starts it, asks it to stop, or kills it.
    pub(super) async fn change(&self, name: &str, change: &StateChange) {
        let begun = self.incus.change_state(name, change).await.unwrap();
        self.incus.wait(&begun, LONG).await.unwrap();
    }

    /// Kills and deletes it.
    pub(super) async fn delete(&self, name: &str) {
        self.change(name, &StateChange::kill()).await;
        let gone = self.incus.delete_instance(name).await.unwrap();
        self.incus.wait(&gone, LONG).await.unwrap();
    }

    /// The same of one that may not be there, or not run.
    pub(super) async fn sweep(&self, name: &str) {
        if let Ok(killed) = self.incus.change_state(name, &StateChange::kill()).await {
            let _was_stopped = self.incus.wait(&killed, LONG).await;
        }
        match self.incus.delete_instance(name).await {
            Ok(gone) => {
                let _told = self.incus.wait(&gone, LONG).await;
            }
            Err(Error::NotFound(_)) => {}
            Err(error) => eprintln!("bench: {name} stays: {error}"),
        }
    }

    /// The `incus` command, which must succeed, with this on its stdin.
    pub(super) async fn command(&self, arguments: &[&str], stdin: Option<&Value>) {
        let mut command = Command::new("incus");
        command
            .args(arguments)
            .args(["--project", &self.project])
            .env("INCUS_SOCKET", &self.socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut running = command.spawn().unwrap();
        let mut to = running.stdin.take().unwrap();
        if let Some(text) = stdin {
            to.write_all(text.to_string().as_bytes()).await.unwrap();
        }
        drop(to);
        let output = running.wait_with_output().await.unwrap();
        assert!(
            output.status.success(),
            "incus {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a command in a container by `incus exec`.
    pub(super) async fn exec(&self, name: &str) {
        let output = Command::new("incus")
            .args(["exec", name, "--project", &self.project, "--", "true"])
            .env("INCUS_SOCKET", &self.socket)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "incus exec: {output:?}");
    }
}

impl Model {
    /// The request of the container number `slot`, and its address.
    pub(super) fn post(&self, name: &str, slot: u32) -> (InstancePost, Ipv4Addr) {
        let mut post = self.post.clone();
        name.clone_into(&mut post.name);
        // The last of all is the subnet's broadcast address.
        let address = Ipv4Addr::from(self.last - 1 - slot);
        let uids = self.uids + (APART + slot) * UIDS;
        post.config
            .insert("security.idmap.base".into(), uids.to_string());
        for (key, value) in &mut post.config {
            if key == "user.containarium.address" {
                let prefix = value.split_once('/').map_or("", |(_, prefix)| prefix);
                *value = format!("{address}/{prefix}");
            }
        }
        if let Some(nic) = post.devices.get_mut("eth0") {
            nic.insert("ipv4.address".into(), address.to_string());
            // As the daemon's, it follows from the address: where an address comes round again with
            // another one, this host first sends to the one that is gone.
            if let Some(mac) = nic.get_mut("hwaddr") {
                let [_, b, c, d] = address.octets();
                *mac = format!("10:66:6a:{b:02x}:{c:02x}:{d:02x}");
            }
        }
        (post, address)
    }

    /// The arguments and the stdin of an `incus launch` of the same.
    pub(super) fn launch(&self, post: &InstancePost) -> (Vec<String>, Value) {
        let arguments = ["launch", &self.fingerprint, &post.name, "--no-profiles"];
        let stdin = json!({
            "description": post.description,
            "config": post.config,
            "devices": post.devices,
        });
        (arguments.map(str::to_owned).to_vec(), stdin)
    }
}

/// The last address of the subnet in which `address/prefix` is.
fn last_address(cidr: &str) -> u32 {
    let (address, prefix) = cidr.split_once('/').unwrap();
    let address: Ipv4Addr = address.parse().unwrap();
    let prefix: u32 = prefix.parse().unwrap();
    u32::from(address) | (u32::MAX >> prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_subnet_is_its_broadcast_address() {
        let last = |cidr| Ipv4Addr::from(last_address(cidr)).to_string();
        assert_eq!(last("10.64.0.1/16"), "10.64.255.255");
        assert_eq!(last("192.168.7.1/24"), "192.168.7.255");
    }

    #[test]
    fn slots_have_names_addresses_and_ids_of_their_own() {
        let mut post = InstancePost::new("", Source::fingerprint("f"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        post.config = [
            pair("security.idmap.base", "1000000"),
            pair("user.containarium.address", "10.64.0.16/16"),
        ]
        .into();
        let nic = [
            pair("ipv4.address", "10.64.0.16"),
            pair("hwaddr", "10:66:6a:40:00:10"),
        ];
        post.devices = [("eth0".to_owned(), nic.into())].into();
        let model = Model {
            post,
            fingerprint: "f".into(),
            uids: 1_000_000,
            last: last_address("10.64.0.1/16"),
        };
        let (post, address) = model.post("b", 3);
        assert_eq!(address.to_string(), "10.64.255.251");
        assert_eq!(post.name, "b");
        assert_eq!(post.config["user.containarium.address"], "10.64.255.251/16");
        assert_eq!(post.devices["eth0"]["ipv4.address"], "10.64.255.251");
        assert_eq!(post.devices["eth0"]["hwaddr"], "10:66:6a:40:ff:fb");
        let base = 1_000_000 + 259 * 65_536;
        assert_eq!(post.config["security.idmap.base"], base.to_string());
    }
}
