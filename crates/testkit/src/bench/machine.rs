//! The machine and the versions: what the numbers are of. And memory of processes.

use std::{
    ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::PathBuf, thread::available_parallelism,
    time::SystemTime,
};

use containarium_incus::{Environment, StorageDriver};
use serde_json::Value;
use tokio::process::Command;

use super::place::Place;

/// What is told of the machine, as name and value.
#[derive(Clone, Debug)]
pub(super) struct Machine(pub Vec<(&'static str, String)>);

impl Machine {
    /// This one, with this place's engine. Read before the run: its own load is none of the machine's.
    pub(super) async fn look(place: &Place) -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let threads = available_parallelism().unwrap().get();
        let memory = kibibytes(&file("/proc/meminfo"), "MemTotal:").unwrap_or_default();
        let mut all = vec![
            (
                "Processor",
                format!("{}, {threads} threads", model(&file("/proc/cpuinfo"))),
            ),
            ("Memory", format!("{:.1} GiB", memory / 1024.0 / 1024.0)),
            (
                "Kernel",
                file("/proc/sys/kernel/osrelease").trim().to_owned(),
            ),
            ("Load before the run", load(&file("/proc/loadavg"))),
        ];
        if place.own.is_none() {
            all.push(("Daemon", "one that ran already".into()));
        }
        if let Some(raw) = &place.raw {
            let server = raw.incus.server().await.unwrap();
            let Environment {
                server_version,
                server_pid,
                driver,
                driver_version,
                storage,
                storage_supported_drivers,
                ..
            } = server.environment;
            all.push(("Incus", server_version));
            all.push((
                "Runtime",
                format!("{driver} {driver_version}, lxcfs {}", lxcfs().await),
            ));
            all.push((
                "Storage drivers in use",
                drivers(&storage, &storage_supported_drivers),
            ));
            all.push(("lxcfs's 0.5 s after each stop", stop_sleep(server_pid)));
        } else {
            let info = place.rest.read("/v1/system/info").await;
            all.push(("Incus", words(&info, "/info/incusVersion")));
        }
        if place.own.is_some() {
            all.push(("Containarium", env!("CARGO_PKG_VERSION").to_owned()));
        }
        let day = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        all.push(("Day", day.get(..10).unwrap_or_default().to_owned()));
        Self(all)
    }
}

/// Those in use, such as `btrfs | dir`, with the versions of their tools.
fn drivers(in_use: &str, known: &[StorageDriver]) -> String {
    let version = |name: &str| {
        let driver = known.iter().find(|driver| driver.name == name);
        driver.map_or("", |driver| driver.version.as_str())
    };
    let told = in_use.split('|').map(str::trim);
    let told = told.map(|name| format!("{name} {}", version(name)).trim().to_owned());
    told.collect::<Vec<_>>().join(", ")
}

async fn lxcfs() -> String {
    let told = Command::new("lxcfs").arg("--version").output().await;
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = told.unwrap_or_default();
    let version = version.trim().trim_matches('"');
    if version.is_empty() {
        "unknown".into()
    } else {
        version.to_owned()
    }
}

/// Whether the Incus of this process has LXC sleep after each stop, by the settings that it gives LXC.
fn stop_sleep(incusd: u64) -> String {
    let Ok(environment) = fs::read(format!("/proc/{incusd}/environ")) else {
        return "unknown: the environment of incusd cannot be read".into();
    };
    let settings = settings(&environment);
    let Ok(files) = fs::read_dir(settings.join("common.conf.d")) else {
        return format!("unknown: no settings in {}", settings.display());
    };
    // LXC reads no others of that directory.
    let files = files.flatten().map(|file| file.path());
    let mut files = files.filter(|path| path.extension() == Some(OsStr::new("conf")));
    let sleeps = files.any(|path| {
        let read = fs::read_to_string(path);
        read.is_ok_and(|text| has_reboot_hook(&text))
    });
    if sleeps {
        "slept: the settings are LXC's own".into()
    } else {
        "left out: docs/decisions/0002-stop-hook.md".into()
    }
}

/// Where an incusd with this environment has LXC's settings from.
fn settings(environment: &[u8]) -> PathBuf {
    let mut variables = environment.split(|byte| *byte == 0);
    let named = variables.find_map(|one| one.strip_prefix(b"INCUS_LXC_TEMPLATE_CONFIG="));
    match named {
        Some(path) if !path.is_empty() => PathBuf::from(OsStr::from_bytes(path)),
        Some(_) | None => PathBuf::from("/usr/share/lxc/config"),
    }
}

fn has_reboot_hook(settings: &str) -> bool {
    let hook = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some(key.trim() == "lxc.hook.post-stop" && value.trim().ends_with("/lxc.reboot.hook"))
    };
    settings.lines().any(|line| hook(line) == Some(true))
}

/// What a process has in memory now, MiB.
pub(super) fn resident(pid: u32) -> f64 {
    status(pid, "VmRSS:")
}

/// The most that it had, MiB.
pub(super) fn most_resident(pid: u32) -> f64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    kibibytes(&text, field).unwrap() / 1024.0
}

/// The number of a line such as `VmRSS:    1234 kB`.
fn kibibytes(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

fn model(cpuinfo: &str) -> String {
    let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| name.trim() == "model name");
    found.map_or("unknown".into(), |(_, model)| model.trim().to_owned())
}

fn load(loadavg: &str) -> String {
    let first = loadavg.split_whitespace().next();
    first.unwrap_or("unknown").to_owned()
}

fn words(json: &Value, pointer: &str) -> String {
    let found = json.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_found() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1024.0));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
        let cpu = "model\t\t: 167\nmodel name\t: Some CPU: X\n";
        assert_eq!(model(cpu), "Some CPU: X");
        assert_eq!(load("0.52 0.58 0.59 1/467 1234"), "0.52");
    }

    #[test]
    fn a_storage_driver_is_told_with_its_version_where_that_is_known() {
        let btrfs = StorageDriver {
            name: "btrfs".into(),
            version: "6.2".into(),
            ..StorageDriver::default()
        };
        assert_eq!(drivers("btrfs | dir", &[btrfs]), "btrfs 6.2, dir");
    }

    #[test]
    fn our_own_memory_is_some() {
        let now = resident(std::process::id());
        assert!(now > 1.0 && now <= most_resident(std::process::id()) + 1.0);
    }

    #[test]
    fn whether_a_stop_sleeps_is_told_by_the_settings_that_incus_was_started_with() {
        let own = settings(b"HOME=/root\0INCUS_LXC_TEMPLATE_CONFIG=/run/x/lxc\0A=b\0");
        assert_eq!(own, PathBuf::from("/run/x/lxc"));
        let usual = PathBuf::from("/usr/share/lxc/config");
        assert_eq!(settings(b"HOME=/root\0"), usual);
        assert_eq!(settings(b""), usual);
        let mount = "lxc.hook.mount = /usr/share/lxcfs/lxc.mount.hook\n";
        let stop = "lxc.hook.post-stop = /usr/share/lxcfs/lxc.reboot.hook\n";
        assert!(has_reboot_hook(&format!("{mount}{stop}")));
        assert!(!has_reboot_hook(mount) && !has_reboot_hook(&format!("#{stop}")));
    }
}
