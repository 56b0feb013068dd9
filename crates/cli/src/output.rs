//! Answers on stdout: as a table for people, or as JSON or YAML with the server's names.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; it may change
    #[default]
    Table,
    /// The server's answer for programs; it keeps its names
    Json,
    /// The same as YAML
    Yaml,
}

impl Format {
    /// Prints `answer`, which `table` draws for people.
    pub(crate) fn print<A: Serialize>(
        self,
        answer: &A,
        table: impl FnOnce(&A) -> String,
    ) -> Result<(), Failure> {
        let text = match self {
            Self::Table => table(answer),
            Self::Json => serde_json::to_string_pretty(answer).map_err(other)?,
            Self::Yaml => yaml_serde::to_string(answer).map_err(other)?,
        };
        written(&text)
    }
}

/// Writes a text to stdout, with one line break at its end.
pub(crate) fn written(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        // `… | head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|e| Failure::new(Exit::Other, format!("stdout: {e}"))),
    }
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}
