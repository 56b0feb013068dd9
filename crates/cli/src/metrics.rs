//! `containarium metrics`: of one container, or of all.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{GetMetrics, ListMetrics, Metrics as Sample, MetricsAnswer, Username};

use crate::{
    failure::Failure,
    list::note,
    output::Format,
    size,
    table::{self, UNKNOWN},
};

/// Show what containers use now
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Whose container [default: all]
    username: Option<Username>,
}

/// The two requests behind the command.
#[derive(Debug, PartialEq)]
enum Request {
    One(GetMetrics),
    All(ListMetrics),
}

impl From<Metrics> for Request {
    fn from(Metrics { username }: Metrics) -> Self {
        match username {
            Some(username) => Self::One(GetMetrics { username }),
            None => Self::All(ListMetrics {}),
        }
    }
}

impl Metrics {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let answer = match Request::from(self) {
            Request::One(request) => client.call(&request).await?,
            Request::All(request) => client.call(&request).await?,
        };
        note(answer.engine, "samples are those that were taken last");
        output.print(&answer, drawn)
    }
}

fn drawn(answer: &MetricsAnswer) -> String {
    let headings = [
        "NAME",
        "CPU TIME",
        "MEMORY",
        "PEAK",
        "DISK",
        "RECEIVED",
        "SENT",
        "PROCESSES",
    ];
    table::columns(headings, answer.metrics.iter().map(row))
}

fn row(sample: &Sample) -> [String; 8] {
    let known = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let bytes = |bytes: Option<u64>| known(bytes.map(size::bytes));
    [
        sample.name.clone(),
        known(
            sample
                .cpu_usage_seconds
                .map(|seconds| format!("{seconds} s")),
        ),
        bytes(sample.memory_usage_bytes),
        bytes(sample.memory_peak_bytes),
        bytes(sample.disk_usage_bytes),
        bytes(sample.network_rx_bytes),
        bytes(sample.network_tx_bytes),
        known(sample.process_count.map(|n| n.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};
    use serde_json::json;

    fn request(line: &str) -> Request {
        let Command::Metrics(metrics) = parsed(line) else {
            panic!("{line}")
        };
        metrics.into()
    }

    #[test]
    fn a_username_asks_for_one_and_none_for_all() {
        let alice = GetMetrics {
            username: "alice".parse().unwrap(),
        };
        assert_eq!(request("metrics alice"), Request::One(alice));
        assert_eq!(request("metrics"), Request::All(ListMetrics {}));
    }

    #[test]
    fn metrics_are_drawn_like_this() {
        let answer: MetricsAnswer = serde_json::from_value(json!({"engine": "ok", "metrics": [
            {
                "name": "alice-container", "cpuUsageSeconds": 12, "memoryUsageBytes": 1_048_576,
                "memoryPeakBytes": 2_097_152, "diskUsageBytes": 1_610_612_736, "networkRxBytes": 512,
                "networkTxBytes": 0, "processCount": 17, "sampledAt": "2026-01-01T00:00:00Z"
            },
            {"name": "bob-container", "sampledAt": "2026-01-01T00:00:00Z"},
        ]}))
        .unwrap();
        insta::assert_snapshot!(drawn(&answer));
    }
}
