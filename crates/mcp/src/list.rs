//! `list_containers`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerList, Effect, Endpoint, ListContainers, State};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{progress::Watch, tool::Form};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only those in this state (default: all but the deleted); "deleted" shows those that
    /// undelete_container can bring back, and until when
    #[serde(default)]
    state: Option<State>,
}

impl From<List> for ListContainers {
    fn from(List { state }: List) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }
}

impl Form for List {
    const NAME: &'static str = "list_containers";
    const TITLE: &'static str = "List containers";
    const ABOUT: &'static str = "List all containers with their status and resources. Sorted by \
        username; `totalCount` is their number. `engine` \"unreachable\" says that the host's \
        container engine does not answer now: then a `state` is the last that was seen, or absent.";
    const EFFECT: Effect = ListContainers::EFFECT;
    const IDEMPOTENT: bool = true;
    type Answer = ContainerList;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<ContainerList, CallError> {
        client.call(&ListContainers::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_all_of_them_or_for_those_in_a_state() {
        for sent in ["{}", r#"{"state":"deleted"}"#] {
            let form: List = serde_json::from_str(sent).unwrap();
            let wanted: ListContainers = serde_json::from_str(sent).unwrap();
            assert_eq!(ListContainers::from(form), wanted);
        }
    }
}
