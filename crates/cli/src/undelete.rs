//! `containarium undelete`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{UndeleteContainer, Username};

use crate::{failure::Failure, output::Format, progress};

/// Bring back a container that was deleted, as it was
///
/// The one of that name that was deleted last; `containarium list --state deleted` shows which there
/// are, and until when.
#[derive(Debug, Args)]
pub(crate) struct Undelete {
    /// Whose container
    username: Username,
}

impl From<Undelete> for UndeleteContainer {
    fn from(Undelete { username }: Undelete) -> Self {
        Self { username }
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
    fn the_username_reaches_its_field() {
        let Command::Undelete(undelete) = parsed("undelete alice") else {
            panic!()
        };
        assert_eq!(
            UndeleteContainer::from(undelete),
            UndeleteContainer {
                username: "alice".parse().unwrap()
            }
        );
    }
}
