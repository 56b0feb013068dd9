//! `containarium version`.

use clap::Args;
use serde::Serialize;

use crate::{failure::Failure, output::Format};

/// Print the version of this program
#[derive(Debug, Args)]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Answer {
    version: &'static str,
}

impl Version {
    pub(crate) fn run(self, output: Format) -> Result<(), Failure> {
        let answer = Answer {
            version: env!("CARGO_PKG_VERSION"),
        };
        output.print(&answer, |answer| format!("containarium {}", answer.version))
    }
}
