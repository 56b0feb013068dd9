//! `containarium undelete`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{ContainerId, UndeleteContainer, Username};

use crate::{failure::Failure, output::Format, progress};

/// Bring back a container that was deleted, as it was
///
/// The one of that name that was deleted last, or the one with that id; `containarium list --state
/// deleted` shows which there are, and until when.
#[derive(Debug, Args)]
pub(crate) struct Undelete {
    /// Whose container
    username: Username,
    /// Which one of that name
    #[arg(long)]
    id: Option<ContainerId>,
}

impl From<Undelete> for UndeleteContainer {
    fn from(Undelete { username, id }: Undelete) -> Self {
        Self { username, id }
    }
}

impl Undelete {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let request = UndeleteContainer::from(self);
        let doing = format!("bringing back {}", request.username.container_name());
        let changed = progress::followed(doing, client, &request).await?;
        output.print(&changed, |changed| changed.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};

    #[test]
    fn username_and_id_reach_their_fields() {
        let id = "01jd3zq8m4k6t1w9v5r2x7y0bc";
        for (line, id) in [
            ("undelete alice".to_owned(), None),
            (
                format!("undelete alice --id {id}"),
                Some(id.parse().unwrap()),
            ),
        ] {
            let Command::Undelete(undelete) = parsed(&line) else {
                panic!("{line}")
            };
            let username = "alice".parse().unwrap();
            assert_eq!(
                UndeleteContainer::from(undelete),
                UndeleteContainer { username, id }
            );
        }
    }
}
