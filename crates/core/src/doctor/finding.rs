//! What a check says: a verdict, the evidence, and what to do. Not how it is drawn.

use serde::Serialize;

use super::Repair;

/// How bad it is. `Unknown` is not `Ok`: it could not be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It cannot be told here; the finding says why.
    Unknown,
    /// It works, and will hurt.
    Warning,
    /// It does not work, or not safely.
    Problem,
}

/// One check's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which check; the word does not change.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What is so: numbers, the file they stand in, the rule.
    pub found: String,
    /// What to run, as root, line by line.
    #[serde(rename = "run", skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What `--fix` would do of it.
    #[serde(skip)]
    pub repairs: Vec<Repair>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            found: found.into(),
            commands: Vec::new(),
            repairs: Vec::new(),
        }
    }

    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, found)
    }

    pub(crate) fn unknown(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unknown, found)
    }

    pub(crate) fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, found)
    }

    pub(crate) fn problem(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Problem, found)
    }

    /// The same with a command to run.
    pub(crate) fn run(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// The same with a repair, and its commands for whoever does not want `--fix`.
    pub(crate) fn repair(mut self, repair: Repair) -> Self {
        self.commands.extend(repair.commands());
        self.repairs.push(repair);
        self
    }
}
