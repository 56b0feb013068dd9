//! All that the sim knows: plain data behind one lock, and what can be read of it.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::answer::{Answer, Refusal};
use crate::crash::Left;
use crate::events::{Event, Events};
use crate::fault::{Fault, On};
use crate::files::Files;
use crate::guest::Guest;
use crate::instance::{Harm, Instance, Status};
use crate::instances::Instances;
use crate::operation::Record;

pub(crate) type Config = BTreeMap<String, String>;

/// What the host pretends to have, in bytes.
const MEMORY: u64 = 64 << 30;
const POOL: u64 = 500 << 30;

/// A project, pool or network: to Incus all are a name, a kind and a configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Thing {
    pub(crate) name: String,
    /// Driver of a pool, type of a network.
    #[serde(alias = "driver", alias = "type")]
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) config: Config,
    #[serde(skip)]
    pub(crate) version: u64,
}

pub(crate) struct Image {
    pub(crate) fingerprint: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) properties: Config,
    pub(crate) made: SystemTime,
    pub(crate) files: Files,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) projects: BTreeMap<String, Thing>,
    pub(crate) pools: BTreeMap<String, Thing>,
    pub(crate) networks: BTreeMap<String, Thing>,
    pub(crate) images: Vec<Image>,
    /// What image servers have: fingerprints by URL and alias.
    pub(crate) image_servers: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) instances: Instances,
    pub(crate) operations: HashMap<String, Record>,
    pub(crate) faults: Vec<(On, Fault)>,
    /// Guests that were stopped and have yet to free their addresses.
    pub(crate) ended: Vec<Guest>,
    /// How long each step of an operation takes.
    pub(crate) latency: Duration,
    /// The same of the instances of this name.
    pub(crate) latency_of: HashMap<String, Duration>,
    /// How often it was killed: what was begun in an earlier life has no effect any more.
    pub(crate) life: u64,
    /// The pools have no room.
    pub(crate) full: bool,
    /// What the pools hold besides instances, bytes.
    pub(crate) used_besides: u64,
    /// The directory of this Incus.
    pub(crate) dir: PathBuf,
    /// Guests boot without a listener.
    pub(crate) mute: bool,
    events: Events,
    count: u64,
}

impl World {
    /// A number that was not given before.
    pub(crate) fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// All that happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.listen()
    }

    /// Tells those who listen what was done to an instance.
    pub(crate) fn happened(&self, action: &str, project: &str, name: &str) {
        self.tell(action, project, name, true);
    }

    /// The same of what it did by itself.
    pub(crate) fn happened_by_itself(&self, action: &str, project: &str, name: &str) {
        self.tell(action, project, name, false);
    }

    fn tell(&self, action: &str, project: &str, name: &str, asked: bool) {
        let source = url(project, name);
        self.events
            .tell(Event::lifecycle(action, project, name, &source, asked));
    }

    /// Tells those who listen where an operation stands.
    pub(crate) fn operates(&self, project: &str, operation: Value) {
        self.events.tell(Event::operation(project, operation));
    }

    /// Takes the oldest fault that waits for this request.
    pub(crate) fn fault(&mut self, on: On) -> Option<Fault> {
        let at = self.faults.iter().position(|(wanted, _)| *wanted == on)?;
        Some(self.faults.remove(at).1)
    }

    pub(crate) fn image(&self, source: &Value) -> Option<&Image> {
        let alias = text(source, "alias");
        let fingerprint = text(source, "fingerprint");
        self.images.iter().find(|image| {
            image.aliases.iter().any(|name| name == alias)
                || (!fingerprint.is_empty() && image.fingerprint.starts_with(fingerprint))
        })
    }

    pub(crate) fn instance(&self, project: &str, name: &str) -> Result<&Instance, Refusal> {
        self.instances
            .get(&(project.to_owned(), name.to_owned()))
            .ok_or_else(|| missing(project, name))
    }

    pub(crate) fn instance_mut(
        &mut self,
        project: &str,
        name: &str,
    ) -> Result<&mut Instance, Refusal> {
        self.instances
            .get_mut(&(project.to_owned(), name.to_owned()))
            .ok_or_else(|| missing(project, name))
    }

    /// The instances of a project; of one that is not there, too: none.
    pub(crate) fn instances_of(&self, project: &str, recursion: &str) -> Answer {
        let of = self.instances.of(project);
        match recursion {
            "2" => Answer::Sync(of.map(Instance::full).collect()),
            "1" => {
                let mut list = String::from("[");
                for instance in of {
                    if list.len() > 1 {
                        list.push(',');
                    }
                    list.push_str(instance.text());
                }
                list.push(']');
                Answer::Json(list)
            }
            _ => Answer::Sync(
                of.map(|instance| json!(format!("/1.0/instances/{}", instance.name)))
                    .collect(),
            ),
        }
    }

    /// The operations of a project, by status in words; only statuses that occur.
    pub(crate) fn operations_of(&self, project: &str, recursion: &str) -> Value {
        let mut all = BTreeMap::<String, Vec<Value>>::new();
        for record in self.operations.values().filter(|one| one.is_of(project)) {
            let one = record.json();
            let status = text(&one, "status").to_lowercase();
            all.entry(status).or_default().push(match recursion {
                "1" => one,
                _ => json!(format!("/1.0/operations/{}", text(&one, "id"))),
            });
        }
        json!(all)
    }

    /// The volumes of a pool: of the project's instances with their snapshots, and of the images,
    /// which are the default project's.
    pub(crate) fn volumes(&self, project: &str, pool: &str) -> Result<Value, Refusal> {
        if !self.pools.contains_key(pool) {
            return Err(Refusal::new(404, "Storage pool not found"));
        }
        let volume = |kind: &str, of: &str, name: &str, used: Vec<String>| {
            json!({"name": name, "type": kind, "content_type": "filesystem", "project": of,
                "location": "none", "description": "", "config": {}, "used_by": used})
        };
        let mut volumes = Vec::new();
        for instance in self
            .instances
            .of(project)
            .filter(|one| one.pool() == Some(pool))
        {
            let name = &instance.name;
            if instance.harm == Some(Harm::Left(Left::Record)) {
                continue;
            }
            let used = url(project, name);
            volumes.push(volume("container", project, name, vec![used]));
            for snapshot in instance.snapshots.keys() {
                let name = format!("{name}/{snapshot}");
                volumes.push(volume("container", project, &name, Vec::new()));
            }
        }
        for image in &self.images {
            let used = format!("/1.0/images/{}", image.fingerprint);
            volumes.push(volume("image", "default", &image.fingerprint, vec![used]));
        }
        Ok(json!(volumes))
    }

    /// The addresses that instances have pinned on a network.
    pub(crate) fn leases(&self, project: &str, network: &str) -> Result<Value, Refusal> {
        if !self.networks.contains_key(network) {
            return Err(Refusal::new(404, "Network not found"));
        }
        let mut leases = Vec::new();
        for instance in self.instances.of(project) {
            for nic in instance.devices.values() {
                if nic.get("network").map(String::as_str) == Some(network)
                    && let Some(address) = nic.get("ipv4.address")
                {
                    leases.push(
                        json!({"hostname": instance.name, "hwaddr": "", "type": "static",
                        "address": address, "location": "none"}),
                    );
                }
            }
        }
        Ok(json!(leases))
    }

    pub(crate) fn server(&self) -> Value {
        json!({"auth": "trusted", "api_version": "1.0", "config": {}, "api_extensions":
                ["projects", "instances", "image_create_aliases"],
            "environment": {"server": "incus", "server_version": "6.0.4", "server_name": "incus-sim",
                "server_clustered": false, "server_pid": std::process::id(), "kernel": "Linux",
                "kernel_version": "6.12.0", "kernel_architecture": "x86_64", "os_name": "incus-sim",
                "os_version": "0", "driver": "lxc", "driver_version": "5.0.2",
                "firewall": "nftables", "storage": "btrfs", "storage_supported_drivers": [
                    {"Name": "btrfs", "Version": "6.14", "Remote": false},
                    {"Name": "dir", "Version": "1", "Remote": false}]}})
    }

    pub(crate) fn resources(&self) -> Value {
        let running = self
            .instances
            .values()
            .filter(|instance| instance.status != Status::Stopped);
        let used: u64 = running.map(Instance::memory).sum();
        json!({"cpu": {"architecture": "x86_64", "total": 16}, "memory":
            {"used": (1_u64 << 30) + used, "total": MEMORY}, "load": {"Average1Min": 0.1,
            "Average5Min": 0.1, "Average10Min": 0.1, "Processes": 100}})
    }

    pub(crate) fn pool_resources(&self, pool: &str) -> Result<Value, Refusal> {
        if !self.pools.contains_key(pool) {
            return Err(Refusal::new(500, "Storage pool not found"));
        }
        let used: u64 = self.instances.values().map(Instance::disk).sum();
        let used = used + self.used_besides;
        Ok(json!({"space": {"used": used, "total": POOL}, "inodes": {"used": 0, "total": 0}}))
    }

    pub(crate) fn images_json(&self) -> Value {
        self.images.iter().map(Image::json).collect()
    }

    pub(crate) fn alias(&self, name: &str) -> Result<Value, Refusal> {
        let image = self.image(&json!({ "alias": name }));
        let image = image.ok_or_else(|| Refusal::new(404, "Image alias not found"))?;
        Ok(
            json!({"name": name, "target": image.fingerprint, "type": "container",
            "description": ""}),
        )
    }

    /// Whether a NIC may have this address: its network exists and contains it.
    pub(crate) fn check_nic(&self, device: &str, nic: &Config) -> Result<(), Refusal> {
        let Some(network) = nic.get("network") else {
            return Ok(());
        };
        let prefix = "Failed creating instance record: Failed initializing instance: Invalid \
                      devices: Device validation failed for";
        let Some(known) = self.networks.get(network) else {
            let text = format!(
                "{prefix} {device:?}: Failed loading device {device:?}: Failed to load network \
                 {network:?} for project \"default\": Network not found"
            );
            return Err(Refusal::new(404, text));
        };
        let subnet = known.config.get("ipv4.address").map_or("", String::as_str);
        match nic.get("ipv4.address") {
            Some(address) if within(address, subnet) != Some(true) => {
                let text = format!(
                    "{prefix} {device:?}: Device IP address {address:?} not within network \
                     {network:?} subnet"
                );
                Err(Refusal::new(500, text))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Image {
    fn json(&self) -> Value {
        let aliases: Vec<_> = self
            .aliases
            .iter()
            .map(|name| json!({"name": name, "description": ""}))
            .collect();
        json!({"fingerprint": self.fingerprint, "aliases": aliases, "properties": self.properties,
            "size": 95 << 20, "architecture": "x86_64", "type": "container", "cached": false,
            "public": false, "created_at": time(self.made), "uploaded_at": time(self.made),
            "last_used_at": "0001-01-01T00:00:00Z", "project": "default"})
    }
}

impl Thing {
    pub(crate) fn json(&self) -> Value {
        json!({"name": self.name, "description": self.description, "config": self.config,
            "driver": self.kind, "type": self.kind, "status": "Created", "managed": true,
            "used_by": []})
    }

    pub(crate) fn etag(&self) -> String {
        format!("\"{:08x}\"", self.version)
    }
}

/// An instance's, as Incus writes it.
pub(crate) fn url(project: &str, name: &str) -> String {
    match project {
        "default" => format!("/1.0/instances/{name}"),
        _ => format!("/1.0/instances/{name}?project={project}"),
    }
}

fn missing(project: &str, name: &str) -> Refusal {
    let text =
        format!("Failed to fetch instance {name:?} in project {project:?}: Instance not found");
    Refusal::new(404, text)
}

/// Whether the subnet, such as `10.0.0.1/16`, has the address; `None` where either is none.
fn within(address: &str, subnet: &str) -> Option<bool> {
    let (base, length) = subnet.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let mask = u32::MAX
        .checked_shl(32_u32.checked_sub(length)?)
        .unwrap_or(0);
    let bits = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
    Some(bits(address)? & mask == bits(base)? & mask)
}

/// A text in an object; empty where there is none.
pub(crate) fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A moment as Incus writes it.
pub(crate) fn time(moment: SystemTime) -> String {
    humantime::format_rfc3339_nanos(moment).to_string()
}
