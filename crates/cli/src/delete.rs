//! `containarium delete`: asks on a terminal, and needs `--yes` elsewhere.

use std::io::{IsTerminal, Write};

use clap::Args;
use containarium_client::Client;
use containarium_contract::{DeleteContainer, Username};

use crate::{
    failure::{Exit, Failure},
    output::Format,
    progress,
};

/// Delete a container and everything in it
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Whose container
    username: Username,
    /// Even if it runs
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl From<Delete> for DeleteContainer {
    fn from(
        Delete {
            username,
            force,
            yes: _,
        }: Delete,
    ) -> Self {
        Self {
            username,
            force,
            purge: false,
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
        let deleted = progress::shown(doing, client.call(&request)).await?;
        output.print(&deleted, |deleted| deleted.message.clone())
    }

    fn ask(&self) -> Result<(), Failure> {
        let Self {
            username, force, ..
        } = self;
        let name = username.container_name();
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            let force = if *force { " --force" } else { "" };
            return Err(
                Failure::new(Exit::Usage, format!("deleting {name} needs a yes"))
                    .with_hint(format!("run `containarium delete {username}{force} --yes`")),
            );
        }
        let mut answer = String::new();
        eprint!("Delete {name} and everything in it? [y/N] ");
        let _ = std::io::stderr().flush();
        let read = stdin.read_line(&mut answer);
        read.map_err(|error| Failure::new(Exit::Other, format!("stdin: {error}")))?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::Other,
                format!("{name} is left as it is"),
            ))
        }
    }
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
        assert!(request("delete alice --force").force);
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y", "yes\r\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yess", "alice"].into_iter().any(is_yes));
    }
}
