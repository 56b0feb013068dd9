//! `containarium events`: what happens, a line each, for as long as somebody reads.

use std::io::{self, ErrorKind, Write as _};

use clap::Args;
use containarium_client::{Client, doing};
use containarium_contract::{Event, ListenEvents, Target};
use serde::Serialize;

use crate::{
    failure::{Exit, Failure},
    output::Format,
    state, table,
};

/// Show what happens as it happens, until interrupted
///
/// Each line begins with the event's id; with the last one as --since, nothing is missed. With `-o
/// json`, each line is one JSON object.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only what happens to this username or image
    #[arg(long)]
    target: Option<Target>,
    /// Begin right behind the event with this id [default: now]
    #[arg(long, value_name = "ID")]
    since: Option<String>,
}

/// An event as programs get it.
#[derive(Serialize)]
struct Line<'e> {
    id: &'e str,
    #[serde(flatten)]
    event: &'e Event,
}

impl Events {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let listen = ListenEvents {
            target: self.target,
        };
        let mut events = client.events(listen, self.since).await?;
        loop {
            let (id, event) = events.next().await?;
            let line = Line {
                id: &id,
                event: &event,
            };
            let text = match output {
                Format::Table => drawn(&line),
                Format::Json => serde_json::to_string(&line).map_err(other)?,
                Format::Yaml => format!("---\n{}", yaml_serde::to_string(&line).map_err(other)?),
            };
            let mut stdout = io::stdout().lock();
            match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
                Ok(()) => {}
                // `… | head` has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(other(error)),
            }
        }
    }
}

fn drawn(Line { id, event }: &Line<'_>) -> String {
    let words = match event {
        Event::Operation { operation } => {
            let error = operation.error.as_ref();
            let more = doing(operation).or_else(|| error.map(|problem| problem.error.clone()));
            format!(
                "{}  {} of {}: {}{}",
                operation.updated_at,
                operation.kind.as_str().replace('_', " "),
                operation.target,
                operation.state.as_str(),
                more.map(|more| format!(", {more}")).unwrap_or_default()
            )
        }
        Event::Container {
            username,
            state,
            detail,
            at,
        } => {
            let detail = detail.as_ref().map(|detail| format!(": {detail}"));
            let name = username.container_name();
            let state = state::name(*state);
            format!("{at}  {name} is {state}{}", detail.unwrap_or_default())
        }
        Event::Reset {} => "events were lost; look at everything anew".to_owned(),
    };
    // One line each, whatever a container says of itself.
    let words = table::plain(&words).replace('\n', " ");
    format!("{id}  {words}")
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Command, tests::parsed},
        operation::tests::operation,
    };
    use serde_json::json;

    #[test]
    fn every_option_reaches_its_field() {
        let Command::Events(events) = parsed("events --target alice --since 41") else {
            panic!()
        };
        assert_eq!(events.target.unwrap().as_str(), "alice");
        assert_eq!(events.since.as_deref(), Some("41"));
        let Command::Events(events) = parsed("events") else {
            panic!()
        };
        assert_eq!((events.target, events.since), (None, None));
    }

    #[test]
    fn events_are_drawn_like_this() {
        let step = json!([{"name": "boot", "state": "running"}]);
        let running = operation("running", json!({ "steps": step }));
        let error = json!({"error": "no space is left", "code": 507});
        let failed = operation("failed", json!({ "error": error }));
        let of = |operation| Event::Operation {
            operation: Box::new(operation),
        };
        let died = json!({"type": "container", "username": "alice", "state": "error",
                          "detail": "out of memory\n\u{1b}[2Jx", "at": "2026-11-21T10:00:03Z"});
        let events = [
            of(running),
            of(failed),
            serde_json::from_value(died).unwrap(),
            Event::Reset {},
        ];
        let lines: Vec<String> = events
            .iter()
            .map(|event| drawn(&Line { id: "41", event }))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        41  2026-11-21T10:00:02Z  create of alice: running, boot
        41  2026-11-21T10:00:02Z  create of alice: failed, no space is left
        41  2026-11-21T10:00:03Z  alice-container is error: out of memory x
        41  events were lost; look at everything anew
        ");
    }

    #[test]
    fn programs_get_the_id_beside_the_events_own_fields() {
        let event = Event::Reset {};
        let line = Line {
            id: "41",
            event: &event,
        };
        assert_eq!(
            serde_json::to_value(&line).unwrap(),
            json!({"id": "41", "type": "reset"})
        );
    }
}
