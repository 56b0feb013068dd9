//! `containarium delete`: asks on a terminal, and needs `--yes` elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use containarium_client::Client;
use containarium_contract::{DeleteContainer, Username};

use crate::{
    admin::typed,
    failure::{Exit, Failure},
    output::Format,
    progress,
};

/// Delete a container
///
/// It is stopped and kept for a while, 24 hours unless the server says otherwise: `containarium undelete
/// alice` brings alice's back, and `containarium list --state deleted` shows until when. With --purge
/// it is gone at once.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Whose container
    username: Username,
    /// Even if it runs
    #[arg(long)]
    force: bool,
    /// Remove it and everything in it at once, for good
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl From<Delete> for DeleteContainer {
    fn from(
        Delete {
            username,
            force,
            purge,
            yes: _,
        }: Delete,
    ) -> Self {
        Self {
            username,
            force,
            purge,
            // For programs, which remember ids; a person is asked.
            id: None,
            only_kept: false,
        }
    }
}

impl Delete {
    /// `client` is made only when the person has agreed.
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
        output: Format,
    ) -> Result<(), Failure> {
        if !self.yes {
            self.ask()?;
        }
        let client = client()?;
        let request = DeleteContainer::from(self);
        let doing = format!("deleting {}", request.username.container_name());
        let deleted = progress::followed(doing, &client, &request).await?;
        output.print(&deleted, |deleted| deleted.message.clone())
    }

    fn ask(&self) -> Result<(), Failure> {
        let Self {
            username,
            force,
            purge,
            yes: _,
        } = self;
        let name = username.container_name();
        if !io::stdin().is_terminal() {
            let force = if *force { " --force" } else { "" };
            let purge = if *purge { " --purge" } else { "" };
            let hint = format!("run `containarium delete {username}{force}{purge} --yes`");
            let needs = format!("deleting {name} needs a yes");
            return Err(Failure::new(Exit::Usage, needs).with_hint(hint));
        }
        let agreed = if *purge {
            // What cannot be taken back takes more than one key.
            let question = format!("This removes {name} and everything in it, for good.");
            typed(&question, username.as_str())?
        } else {
            agrees(&name)?
        };
        if agreed {
            Ok(())
        } else {
            let sentence = format!("{name} is left as it is");
            Err(Failure::new(Exit::Other, sentence))
        }
    }
}

fn agrees(name: &str) -> Result<bool, Failure> {
    let unreadable = |error: io::Error| Failure::new(Exit::Other, format!("stdin: {error}"));
    let mut answer = String::new();
    eprint!("Delete {name}? The server keeps it for a while, unless it keeps nothing. [y/N] ");
    io::stderr().flush().map_err(unreadable)?;
    io::stdin().read_line(&mut answer).map_err(unreadable)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};

    fn request(line: &str) -> DeleteContainer {
        let Command::Delete(delete) = parsed(line) else {
            panic!("{line}")
        };
        delete.into()
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        let default = serde_json::from_str(r#"{"username":"alice"}"#).unwrap();
        assert_eq!(request("delete alice"), default);
        assert_eq!(request("delete alice --yes"), default);
        let forced = request("delete alice --force");
        assert!(forced.force && !forced.purge);
        assert!(request("delete alice --purge").purge);
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y", "yes\r\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yess", "alice"].into_iter().any(is_yes));
    }
}
