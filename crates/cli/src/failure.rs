//! How a command ends when it fails: one line that says what is so, one that says what to do next,
//! and an exit code that scripts can rely on.

use std::{io::Write as _, process::ExitCode};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use containarium_client::{CallError, NoClient, TunnelEnded};
use containarium_contract::Reason;

/// The exit codes. They do not change their meaning.
///
/// | code | meaning |
/// |---|---|
/// | 0 | done |
/// | 1 | failed for a reason that has no code of its own |
/// | 2 | the command line, or a value in it, is not accepted |
/// | 3 | something that must be there first is missing |
/// | 4 | there is no such container |
/// | 5 | conflict: the name is taken, it runs, or something else is being done to it |
/// | 6 | no token, one that is not good, or one that may not |
/// | 7 | the server, or its container engine, is not reachable |
/// | 8 | `doctor` found a problem, or `admin leaks` something that was left behind |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No code of its own.
    Other = 1,
    /// The command line.
    Usage = 2,
    /// A prerequisite.
    Missing = 3,
    /// No such container.
    NotFound = 4,
    /// Conflict or busy.
    Conflict = 5,
    /// Token or role.
    Auth = 6,
    /// Nobody there.
    Unreachable = 7,
    /// The server is not as it should be.
    Unwell = 8,
}

/// The same table for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for a reason that has no code of its own
  2  the command line, or a value in it, is not accepted
  3  something that must be there first is missing
  4  there is no such container
  5  conflict: the name is taken, it runs, or something else is being done to it
  6  no token, one that is not good, or one that may not
  7  the server, or its container engine, is not reachable
  8  doctor found a problem, or admin leaks something that was left behind";

/// A command that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    sentence: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self {
            exit,
            sentence: sentence.into(),
            hint: None,
        }
    }

    /// The same with what to do next.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, said of one thing among several.
    pub(crate) fn about(self, what: &str) -> Self {
        Self {
            sentence: format!("{what}: {}", self.sentence),
            ..self
        }
    }

    /// What is so.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The sentence, and the hint behind it.
    pub(crate) fn as_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.sentence),
            None => self.sentence.clone(),
        }
    }

    /// Tells stderr; the code to end with.
    pub(crate) fn told(&self) -> ExitCode {
        let mut text = format!("\u{1b}[1;31merror:\u{1b}[0m {}\n", self.sentence);
        if let Some(hint) = &self.hint {
            text += &format!("\u{1b}[1;36mhint:\u{1b}[0m {hint}\n");
        }
        let stderr = std::io::stderr();
        if AutoStream::choice(&stderr) == ColorChoice::Never {
            text = strip_str(&text).to_string();
        }
        // In one piece: another program, such as the ssh that this one serves, may write there too.
        let _nobody_reads = stderr.lock().write_all(text.as_bytes());
        ExitCode::from(self.exit as u8)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let hint = error.hint();
        let (exit, sentence) = match &error {
            CallError::Api {
                problem: Some(problem),
                status,
                ..
            } => {
                let exit = problem.reason.map_or_else(|| of_status(*status), of_reason);
                let request = problem.request_id.as_ref();
                let request = request
                    .map(|id| format!(" (request {id})"))
                    .unwrap_or_default();
                (exit, format!("{}{request}", problem.error))
            }
            CallError::Api { status, .. } => (of_status(*status), error.to_string()),
            CallError::Unreachable { .. } | CallError::Lost { .. } => {
                (Exit::Unreachable, error.to_string())
            }
            CallError::Protocol(_) => (Exit::Other, error.to_string()),
            CallError::Token(_) => (Exit::Auth, error.to_string()),
        };
        Self {
            exit,
            sentence,
            hint,
        }
    }
}

impl From<TunnelEnded> for Failure {
    fn from(ended: TunnelEnded) -> Self {
        let exit = match &ended {
            TunnelEnded::Silent | TunnelEnded::Broken(_) => Exit::Unreachable,
            TunnelEnded::Closed(_) | TunnelEnded::Local(_) => Exit::Other,
        };
        Self::new(exit, ended.to_string())
    }
}

impl From<NoClient> for Failure {
    fn from(error: NoClient) -> Self {
        let hint = match &error {
            NoClient::Url(_) => "check --server, or CONTAINARIUM_SERVER_URL",
            NoClient::CaFile { .. } | NoClient::NoCertificate { .. } => {
                "check --ca-file, or CONTAINARIUM_CA_FILE"
            }
        };
        Self::new(Exit::Usage, error.to_string()).with_hint(hint)
    }
}

fn of_reason(reason: Reason) -> Exit {
    match reason {
        Reason::Malformed | Reason::InvalidValue => Exit::Usage,
        Reason::InvalidToken | Reason::Forbidden => Exit::Auth,
        Reason::NotFound => Exit::NotFound,
        Reason::AlreadyExists
        | Reason::NotStopped
        | Reason::Replaced
        | Reason::Irreversible
        | Reason::Busy
        | Reason::LastKey
        | Reason::GuestChanged
        | Reason::Cancelled
        | Reason::AlreadyFinished => Exit::Conflict,
        Reason::ImageUnavailable | Reason::EngineUnavailable => Exit::Unreachable,
        Reason::MethodNotAllowed
        | Reason::TooLarge
        | Reason::UnsupportedMedia
        | Reason::QuotaExceeded
        | Reason::RateLimited
        | Reason::InsufficientStorage
        | Reason::DeadlineExceeded
        | Reason::Internal => Exit::Other,
    }
}

/// For an answer without a reason: a bad token's, or that of something before the daemon.
fn of_status(status: u16) -> Exit {
    match status {
        401 | 403 => Exit::Auth,
        502..=504 => Exit::Unreachable,
        _ => Exit::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containarium_contract::{Face, Hint, STOPPING};
    use containarium_core::Error;

    #[test]
    fn the_help_lists_the_codes_that_there_are() {
        for exit in [
            Exit::Other,
            Exit::Usage,
            Exit::NotFound,
            Exit::Conflict,
            Exit::Auth,
            Exit::Unreachable,
            Exit::Unwell,
        ] {
            assert!(
                EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn the_documented_errors_are_these() {
        let mut document = "# Errors\n\nGenerated; a test holds it against the program. Every failure \
            of the REST API is JSON: `error` says what is so, `code` is the HTTP status, `reason` one of \
            these, `hint` what to do next in the caller's own form, and `requestId` (5xx only) finds the \
            cause in the daemon's log. A missing or bad token is \
            `{\"error\": \"invalid token\", \"code\": 401}` and nothing else.\n\n\
            | reason | HTTP status | exit code of `containarium` | means | try again after |\n\
            |---|---|---|---|---|\n"
            .to_owned();
        for reason in Reason::ALL {
            let again = reason.retry_after();
            document += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                reason.as_str(),
                reason.status(),
                of_reason(reason) as u8,
                reason.about(),
                again.map_or(String::new(), |seconds| format!("{seconds} s")),
            );
        }
        document += &format!("\n## Exit codes\n\n```text\n{EXIT_CODES}\n```\n");
        document += "\n## What to do next\n\nEach hint in its three forms.\n\n\
                     | on the command line | to a model | over HTTP |\n|---|---|---|\n";
        for hint in Hint::examples() {
            let forms = [Face::Cli, Face::Mcp, Face::Rest].map(|face| hint.render(face));
            document += &format!("| {} |\n", forms.join(" | "));
        }
        expect_test::expect_file!["../../../docs/errors.md"].assert_eq(&document);
    }

    #[test]
    fn a_daemon_that_stops_says_it_in_the_words_that_the_client_knows() {
        let id = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC".parse().unwrap();
        for error in [Error::Stopping, Error::Suspended(id)] {
            assert!(error.to_string().starts_with(STOPPING), "{error}");
        }
    }

    #[test]
    fn every_refusal_has_the_code_of_its_reason() {
        for reason in Reason::ALL {
            let exit = of_reason(reason);
            match reason.status() {
                401 => assert_eq!(exit, Exit::Auth),
                404 => assert_eq!(exit, Exit::NotFound),
                409 => assert_eq!(exit, Exit::Conflict),
                503 => assert_eq!(exit, Exit::Unreachable),
                _ => assert_ne!(exit, Exit::NotFound, "{reason:?}"),
            }
        }
    }
}
