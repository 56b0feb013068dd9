//! `containarium start`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{StartContainer, Username};

use crate::{failure::Failure, output::Format, progress};

/// Start a stopped container, and wait until a login works
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Whose container
    username: Username,
}

impl From<Start> for StartContainer {
    fn from(Start { username }: Start) -> Self {
        Self { username }
    }
}

impl Start {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let request = StartContainer::from(self);
        let doing = format!("starting {}", request.username.container_name());
        let changed = progress::followed(doing, client, &request).await?;
        output.print(&changed, |changed| changed.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};

    #[test]
    fn the_username_reaches_its_field() {
        let Command::Start(start) = parsed("start alice") else {
            panic!()
        };
        assert_eq!(
            StartContainer::from(start),
            StartContainer {
                username: "alice".parse().unwrap()
            }
        );
    }
}
