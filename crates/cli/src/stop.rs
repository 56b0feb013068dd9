//! `containarium stop`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{StopContainer, Username};

use crate::{failure::Failure, output::Format, progress};

/// Stop a running container; its disk is kept
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Whose container
    username: Username,
    /// Kill it instead of asking it to shut down
    #[arg(long)]
    force: bool,
    /// How long it may take to shut down
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    timeout: u32,
}

impl From<Stop> for StopContainer {
    fn from(
        Stop {
            username,
            force,
            timeout,
        }: Stop,
    ) -> Self {
        Self {
            username,
            force,
            timeout,
        }
    }
}

impl Stop {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let request = StopContainer::from(self);
        let doing = format!("stopping {}", request.username.container_name());
        let changed = progress::followed(doing, client, &request).await?;
        output.print(&changed, |changed| changed.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };
    use serde_json::json;

    fn request(line: &str) -> StopContainer {
        let Command::Stop(stop) = parsed(line) else {
            panic!("{line}")
        };
        stop.into()
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        let wanted = |json| serde_json::from_value::<StopContainer>(json).unwrap();
        assert_eq!(request("stop alice"), wanted(json!({"username": "alice"})));
        assert_eq!(
            request("stop alice --force --timeout 5"),
            wanted(json!({"username": "alice", "force": true, "timeout": 5}))
        );
        assert!(refused("stop alice --timeout 0").contains("1..=600"));
    }
}
