//! The machine and the versions: what the numbers are of. And memory of processes.

use std::{fs, thread::available_parallelism, time::SystemTime};

use serde_json::Value;

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
            let environment = server.environment;
            all.push(("Incus", environment.server_version));
            all.push(("Storage drivers in use", environment.storage));
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
    fn our_own_memory_is_some() {
        let now = resident(std::process::id());
        assert!(now > 1.0 && now <= most_resident(std::process::id()) + 1.0);
    }
}
