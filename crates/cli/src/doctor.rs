//! `containarium doctor`: its options, and how findings are drawn. What is checked is core's.

use std::{
    io::{IsTerminal as _, Write as _},
    net::IpAddr,
};

use clap::Args;
use containarium_core::doctor::{self, Finding, Repaired, Verdict};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Exit, Failure},
    output::Format,
    place::Place,
};

/// Look for what is known to go wrong on this server, and say what to run
///
/// On the server, as root. It makes one container of its own, tries a clone, its quota, the network and
/// Docker in it, and removes it; other containers are not touched. Ends with 8 where it finds a problem.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Do what is safe and can be taken back (kernel settings, file modes), then look again; all else is
    /// left to you
    #[arg(long)]
    pub(crate) fix: bool,
    /// Make no container; what only that shows stays unknown
    #[arg(long)]
    pub(crate) quick: bool,
    /// The address of the daemon
    #[arg(long, env = "CONTAINARIUM_ADDRESS", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// The port of the daemon
    #[arg(long, env = "CONTAINARIUM_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What is told, to programs in these words.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    worst: Verdict,
    findings: Vec<Finding>,
    /// What `--fix` did before the findings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixed: Vec<Repaired>,
}

impl Answer {
    /// Of these findings.
    pub(crate) fn new(findings: Vec<Finding>, fixed: Vec<Repaired>) -> Self {
        Self {
            worst: findings
                .iter()
                .map(|f| f.verdict)
                .max()
                .unwrap_or(Verdict::Unknown),
            findings,
            fixed,
        }
    }

    /// Tells them.
    pub(crate) fn print(&self, output: Format) -> Result<(), Failure> {
        output.print(self, drawn)
    }

    /// How a command ends that found them.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        let problems = self
            .findings
            .iter()
            .filter(|f| f.verdict == Verdict::Problem);
        let sentence = match problems.count() {
            0 => return Ok(()),
            1 => "there is a problem".to_owned(),
            n => format!("there are {n} problems"),
        };
        Err(Failure::new(Exit::Unwell, sentence))
    }
}

impl Doctor {
    pub(crate) async fn run(self, output: Format) -> Result<(), Failure> {
        let doctor = doctor::Doctor {
            state_dir: self.place.state.state_dir,
            engine: self.place.engine.path(),
            address: self.address,
            port: self.port,
            quick: self.quick,
        };
        let report = |line: &str| {
            if std::io::stderr().is_terminal() {
                let _ = writeln!(std::io::stderr(), "{line} …");
            }
        };
        let cancel = interrupted().map_err(|e| Failure::new(Exit::Other, e.to_string()))?;
        let mut fixed = Vec::new();
        if self.fix {
            // What can be repaired shows without a container.
            let quick = doctor::Doctor {
                quick: true,
                ..doctor.clone()
            };
            let findings = quick.examine(&cancel, &report).await;
            fixed = findings.iter().flat_map(doctor::repair).collect();
        }
        let findings = doctor.examine(&cancel, &report).await;
        let answer = Answer::new(findings, fixed);
        answer.print(output)?;
        if cancel.is_cancelled() {
            return Err(Failure::new(
                Exit::Other,
                "interrupted; the container that was made is removed",
            ));
        }
        answer.end()
    }
}

/// Cancelled by Ctrl-C and by being told to end.
fn interrupted() -> std::io::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let told = cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(cancel)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Unknown => "unknown",
        Verdict::Warning => "warning",
        Verdict::Problem => "PROBLEM",
    }
}

fn drawn(answer: &Answer) -> String {
    let mut text = String::new();
    for Repaired { check, ran, error } in &answer.fixed {
        let outcome = error
            .as_ref()
            .map_or("done".to_owned(), |e| format!("FAILED: {e}"));
        for command in ran {
            text += &format!("fixed    {check:<15}  {command}  ({outcome})\n");
        }
    }
    for Finding {
        check,
        verdict,
        found,
        commands,
        ..
    } in &answer.findings
    {
        text += &format!("{:<7}  {check:<15}  {found}\n", word(*verdict));
        for command in commands {
            text += &format!("{:<7}  {:<15}  $ {command}\n", "", "");
        }
    }
    let count = |verdict| {
        answer
            .findings
            .iter()
            .filter(|f| f.verdict == verdict)
            .count()
    };
    text + &format!(
        "{} ok, {} unknown, {} warnings, {} problems",
        count(Verdict::Ok),
        count(Verdict::Unknown),
        count(Verdict::Warning),
        count(Verdict::Problem)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::parsed;

    #[test]
    fn what_is_found_is_drawn_with_what_to_run_below() {
        let answer = Answer {
            worst: Verdict::Problem,
            findings: vec![
                finding("engine", Verdict::Ok, "Incus 6.0.4 answers", &[]),
                finding("subnet", Verdict::Problem, "a route clashes", &["ip route"]),
            ],
            fixed: vec![Repaired {
                check: "modes",
                ran: vec!["chmod 0600 /s".into()],
                error: None,
            }],
        };
        assert_eq!(
            drawn(&answer),
            "fixed    modes            chmod 0600 /s  (done)\n\
             ok       engine           Incus 6.0.4 answers\n\
             PROBLEM  subnet           a route clashes\n\
             \x20                         $ ip route\n\
             1 ok, 0 unknown, 0 warnings, 1 problems"
        );
    }

    fn finding(check: &'static str, verdict: Verdict, found: &str, run: &[&str]) -> Finding {
        Finding {
            check,
            verdict,
            found: found.into(),
            commands: run.iter().map(|command| (*command).to_owned()).collect(),
            repairs: Vec::new(),
        }
    }

    #[test]
    fn it_is_asked_in_few_words() {
        parsed("doctor");
        parsed("doctor --fix --quick -o json --state-dir /s --engine unix:/i/unix.socket");
    }

    /// The same words stand in core's findings, behind values that only a server has.
    #[test]
    fn the_commands_of_ours_that_it_proposes_parse() {
        let mut proposed = 0;
        for file in SOURCES {
            for part in file
                .split(['"', '`'])
                .filter(|part| part.starts_with("containarium "))
            {
                let line = part.split("  #").next().unwrap_or_default();
                for line in line.split(" && ").filter(|line| !line.contains('…')) {
                    let line = line
                        .replace("--address {} --port {}", "--address 127.0.0.1 --port 8081")
                        .replace("{}", "ct");
                    parsed(line.trim_start_matches("containarium "));
                    proposed += 1;
                }
            }
        }
        assert!(proposed >= 10, "only {proposed} were found");
    }

    const SOURCES: &[&str] = &[
        include_str!("../../core/src/doctor.rs"),
        include_str!("../../core/src/doctor/daemon.rs"),
        include_str!("../../core/src/doctor/engine.rs"),
        include_str!("../../core/src/doctor/leftovers.rs"),
        include_str!("../../core/src/doctor/outcome.rs"),
        include_str!("../../core/src/doctor/probe.rs"),
        include_str!("../../core/src/doctor/secret.rs"),
        include_str!("../../core/src/doctor/storage.rs"),
        include_str!("../../core/src/doctor/store.rs"),
        include_str!("../../core/src/doctor/subnet.rs"),
    ];
}
