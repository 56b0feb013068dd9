//! An instance: what it is, and what is told of it. What is done to it is in `change.rs`.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::crash::Left;
use crate::files::Files;
use crate::guest::Guest;
use crate::instances::Key;
use crate::world::{Config, time};

pub(crate) type Devices = BTreeMap<String, Config>;

/// What a boot takes of a processor, in nanoseconds; afterwards systemd idles at half a percent.
const BOOT_CPU: u64 = 1_400_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Stopped,
    Running,
    Frozen,
}

pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) project: String,
    pub(crate) description: String,
    pub(crate) profiles: Vec<String>,
    pub(crate) config: Config,
    pub(crate) devices: Devices,
    pub(crate) version: u64,
    pub(crate) status: Status,
    /// The operation under way.
    pub(crate) busy: Option<&'static str>,
    pub(crate) made: SystemTime,
    pub(crate) started: Option<SystemTime>,
    pub(crate) console: String,
    pub(crate) guest: Option<Guest>,
    pub(crate) files: Files,
    pub(crate) snapshots: BTreeMap<String, SystemTime>,
    /// A snapshot is being made, which does not count as busy.
    pub(crate) in_snapshot: bool,
    /// Why its volume cannot be used as it is.
    pub(crate) harm: Option<Harm>,
    /// Made of nothing: there is no init to start.
    pub(crate) empty: bool,
    /// It was asked to stop while it was frozen: it is told to run, and hears nothing any more.
    pub(crate) numb: bool,
    /// As it is listed, since it last changed.
    pub(crate) listed: OnceCell<String>,
}

/// What an accident did to an instance's volume. Nothing that is listed tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// incusd was killed while it made the volume or removed it: it cannot be started.
    Left(Left),
    /// It was deleted while a snapshot was made: it cannot be deleted until somebody removes the
    /// snapshot's volume on the host.
    Wedged,
}

/// As an instance is listed, without state.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    project: &'a str,
    r#type: &'static str,
    status: &'static str,
    status_code: u16,
    description: &'a str,
    architecture: &'static str,
    ephemeral: bool,
    stateful: bool,
    location: &'static str,
    profiles: &'a [String],
    config: &'a RawValue,
    expanded_config: &'a RawValue,
    devices: &'a RawValue,
    expanded_devices: &'a RawValue,
    created_at: String,
    last_used_at: String,
}

impl Instance {
    pub(crate) fn key(&self) -> Key {
        (self.project.clone(), self.name.clone())
    }

    /// The pinned address of its first NIC that has one.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.devices
            .values()
            .find_map(|device| device.get("ipv4.address")?.parse().ok())
    }

    /// Where its volume lies.
    pub(crate) fn pool(&self) -> Option<&str> {
        Some(self.devices.get("root")?.get("pool")?)
    }

    pub(crate) fn etag(&self) -> String {
        format!("\"{:08x}\"", self.version)
    }

    /// Memory in use, in bytes: what a booted Debian takes.
    pub(crate) fn memory(&self) -> u64 {
        if self.status == Status::Stopped {
            0
        } else {
            58 << 20
        }
    }

    /// Disk in use beside what the image is, in bytes: a boot writes keys and logs.
    pub(crate) fn disk(&self) -> u64 {
        if self.started.is_some() {
            11 << 20
        } else {
            80 << 10
        }
    }

    fn status(&self) -> (&'static str, u16) {
        match self.status {
            Status::Stopped => ("Stopped", 102),
            Status::Running => ("Running", 103),
            Status::Frozen => ("Frozen", 110),
        }
    }

    /// Without state.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// The same as text.
    pub(crate) fn text(&self) -> &str {
        self.listed
            .get_or_init(|| self.listed().unwrap_or_default())
    }

    fn listed(&self) -> serde_json::Result<String> {
        let (status, status_code) = self.status();
        // Each is told twice, and written once.
        let (config, devices) = (to_raw_value(&self.config)?, to_raw_value(&self.devices)?);
        serde_json::to_string(&Listed {
            name: &self.name,
            project: &self.project,
            r#type: "container",
            status,
            status_code,
            description: &self.description,
            architecture: "x86_64",
            ephemeral: false,
            stateful: false,
            location: "none",
            profiles: &self.profiles,
            config: &config,
            expanded_config: &config,
            devices: &devices,
            expanded_devices: &devices,
            created_at: time(self.made),
            last_used_at: self
                .started
                .map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), time),
        })
    }

    /// What is left of it when incusd is killed: a guest lives on, a volume that was being made or
    /// removed is neither there nor gone.
    pub(crate) fn crash(&mut self, left: Left) {
        if matches!(self.busy, Some("create" | "delete")) {
            self.harm = Some(Harm::Left(left));
        }
        (self.busy, self.in_snapshot) = (None, false);
        self.listed.take();
    }

    /// With state.
    pub(crate) fn full(&self) -> Value {
        let mut json = self.json();
        if let Some(json) = json.as_object_mut() {
            json.insert("state".to_owned(), self.state());
            json.insert("snapshots".to_owned(), Value::Null);
            json.insert("backups".to_owned(), Value::Null);
        }
        json
    }

    pub(crate) fn state(&self) -> Value {
        let (status, code) = self.status();
        let size = |config: &Config, key| config.get(key).map_or(0, |text| bytes(text));
        let root = self
            .devices
            .get("root")
            .map_or(0, |root| size(root, "size"));
        let disk = json!({"root": {"usage": self.disk(), "total": root}});
        if self.status == Status::Stopped {
            return json!({"status": status, "status_code": code, "pid": 0, "processes": 0,
                "disk": disk, "network": null, "started_at": "0001-01-01T00:00:00Z",
                "cpu": {"usage": 0, "allocated_time": 0},
                "memory": {"usage": 0, "usage_peak": 0, "total": 0, "swap_usage": 0}});
        }
        let started = self.started.unwrap_or(self.made);
        let up = started.elapsed().unwrap_or_default();
        let limit = match size(&self.config, "limits.memory") {
            0 => 64 << 30,
            limit => limit,
        };
        let address = |address: &str, netmask: &str, scope: &str| json!({"family": "inet", "address": address, "netmask": netmask, "scope": scope});
        let link = |addresses: Vec<Value>, kind: &str| {
            // ARP, DNS and a clock: 14 kB at boot, then some bytes a second.
            let bytes = match kind {
                "broadcast" => 14_000 + 60 * up.as_secs(),
                _ => 0,
            };
            json!({"addresses": addresses, "hwaddr": "", "host_name": "", "mtu": 1500,
                "state": "up", "type": kind, "counters": {"bytes_received": bytes,
                "bytes_sent": bytes / 2, "packets_received": bytes / 100,
                "packets_sent": bytes / 200}})
        };
        let mut network = BTreeMap::from([(
            "lo".to_owned(),
            link(vec![address("127.0.0.1", "8", "local")], "loopback"),
        )]);
        for (name, device) in &self.devices {
            if device.get("type").map(String::as_str) == Some("nic") {
                let pinned = device
                    .get("ipv4.address")
                    .map(|ip| address(ip, "16", "global"));
                let name = device.get("name").unwrap_or(name);
                network.insert(
                    name.clone(),
                    link(pinned.into_iter().collect(), "broadcast"),
                );
            }
        }
        json!({"status": status, "status_code": code, "pid": 1000, "processes": 12, "disk": disk,
            "network": network, "started_at": time(started),
            "cpu": {"usage": BOOT_CPU + up.as_nanos() as u64 / 200, "allocated_time": 1_000_000_000},
            "memory": {"usage": self.memory(), "usage_peak": self.memory() + (13 << 20),
                "total": limit, "swap_usage": 0}})
    }
}

/// Bytes from Incus's sizes, such as `512MiB`; 0 for what is none.
pub(crate) fn bytes(text: &str) -> u64 {
    let units = [
        ("KiB", 1_u64 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let (number, unit) = units
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1));
    number
        .trim()
        .parse::<u64>()
        .map_or(0, |number| number.saturating_mul(unit))
}
