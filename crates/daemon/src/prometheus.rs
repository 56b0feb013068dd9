//! `GET /metrics`: what the caller's containers use, in Prometheus's text format, sampled at the
//! scrape; and, for those who see everybody's, how long operations take.

use std::fmt::Write as _;

use axum::{Extension, body::Body, extract::State, http::Response};
use containarium_contract::{EngineHealth, ListContainers, Metrics, StandbyInfo};
use containarium_core::{Containarium, Fault, Histogram, Timings};

use crate::{
    authenticate::Caller,
    respond::{answer, text_of},
};

/// One metric: its name, its kind, what it is, and where it is in a sample.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Metrics) -> Option<f64>,
);

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus's numbers are floats; bytes stay exact up to 8 PiB"
)]
const METRICS: [Metric; 7] = [
    (
        "containarium_container_cpu_seconds_total",
        "counter",
        "CPU time since the container started, seconds.",
        |m| m.cpu_usage_seconds.map(|n| n as f64),
    ),
    (
        "containarium_container_memory_bytes",
        "gauge",
        "Memory in use, bytes.",
        |m| m.memory_usage_bytes.map(|n| n as f64),
    ),
    (
        "containarium_container_memory_peak_bytes",
        "gauge",
        "The most memory in use since the start, bytes.",
        |m| m.memory_peak_bytes.map(|n| n as f64),
    ),
    (
        "containarium_container_disk_bytes",
        "gauge",
        "Disk that this container alone uses, bytes.",
        |m| m.disk_usage_bytes.map(|n| n as f64),
    ),
    (
        "containarium_container_network_receive_bytes_total",
        "counter",
        "Bytes received since the start.",
        |m| m.network_rx_bytes.map(|n| n as f64),
    ),
    (
        "containarium_container_network_transmit_bytes_total",
        "counter",
        "Bytes sent since the start.",
        |m| m.network_tx_bytes.map(|n| n as f64),
    ),
    (
        "containarium_container_processes",
        "gauge",
        "Processes inside.",
        |m| m.process_count.map(|n| n as f64),
    ),
];

/// The text of a scrape.
pub(crate) async fn prometheus(
    State(service): State<Containarium>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    let who = &caller.principal;
    let refused = |error| answer(&Fault::from(&error).problem(caller.face, &caller.request.0));
    let list = match service.list(who, ListContainers::default()).await {
        Ok(list) => list,
        Err(error) => return refused(error),
    };
    // Samples of a scrape have no time of their own: one from before would pass for one of now.
    let (samples, up) = match service.list_metrics(who).await {
        Ok(answer) => match answer.engine {
            EngineHealth::Ok => (answer.metrics, true),
            EngineHealth::Unreachable => (Vec::new(), false),
        },
        Err(error) => return refused(error),
    };
    let mut text = String::new();
    text += &head(
        "containarium_engine_up",
        "gauge",
        "Whether the container engine answers.",
    );
    let up = u8::from(up);
    let _ = writeln!(text, "containarium_engine_up {up}");
    text += &standby(&service.standby_info());
    text += &head(
        "containarium_container_state",
        "gauge",
        "1 for the state that the container is in.",
    );
    for container in &list.containers {
        if let Some(state) = container.state {
            let state = serde_json::to_value(state).unwrap_or_default();
            let state = state.as_str().unwrap_or_default();
            let (name, owner) = (&container.username, &container.owner);
            let _ = writeln!(
                text,
                "containarium_container_state{{username=\"{name}\",owner=\"{owner}\",state=\"{state}\"}} 1"
            );
        }
    }
    for (name, kind, about, value) in METRICS {
        text += &head(name, kind, about);
        for sample in &samples {
            if let Some(value) = value(sample) {
                let username = sample.name.strip_suffix("-container");
                let username = username.unwrap_or(&sample.name);
                let _ = writeln!(text, "{name}{{username=\"{username}\"}} {value}");
            }
        }
    }
    if let Some(timings) = service.timings(who) {
        text += &drawn(&timings);
    }
    text_of("text/plain; version=0.0.4; charset=utf-8", text)
}

fn head(name: &str, kind: &str, about: &str) -> String {
    format!("# HELP {name} {about}\n# TYPE {name} {kind}\n")
}

/// Containers that are booted beforehand, of each kind of which some are kept.
fn standby(kinds: &[StandbyInfo]) -> String {
    let about = [
        ("wanted", "How many are to be kept booted beforehand."),
        ("ready", "How many of them could be taken now."),
    ];
    let mut text = String::new();
    for (what, about) in about {
        let name = format!("containarium_standby_{what}");
        text += &head(&name, "gauge", about);
        for kind in kinds {
            let count = if what == "wanted" {
                kind.wanted
            } else {
                kind.ready
            };
            let (image, docker) = (&kind.image, kind.docker);
            let _ = writeln!(
                text,
                "{name}{{image=\"{image}\",docker=\"{docker}\"}} {count}"
            );
        }
    }
    text
}

/// How long operations and their steps took.
fn drawn(timings: &Timings) -> String {
    let name = "containarium_operation_seconds";
    let about = "From when operations were asked for to their end, since this daemon began.";
    let mut text = head(name, "histogram", about);
    for ((kind, result), histogram) in &timings.operations {
        let labels = format!("kind=\"{}\",result=\"{}\"", kind.as_str(), result.as_str());
        text += &series(name, &labels, histogram);
    }
    let name = "containarium_operation_step_seconds";
    let about = "How long the steps of operations took, well or not, since this daemon began.";
    text += &head(name, "histogram", about);
    for ((kind, step), histogram) in &timings.steps {
        let labels = format!("kind=\"{}\",step=\"{}\"", kind.as_str(), step.as_str());
        text += &series(name, &labels, histogram);
    }
    text
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus's numbers are floats; milliseconds stay exact for 285,000 years"
)]
fn series(name: &str, labels: &str, histogram: &Histogram) -> String {
    let seconds = |milliseconds: u64| milliseconds as f64 / 1000.0;
    let mut text = String::new();
    for (bound, count) in histogram.within() {
        let bound = seconds(bound);
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    let (count, sum) = (histogram.count(), seconds(histogram.sum()));
    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}");
    let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
    text
}
