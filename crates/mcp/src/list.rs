//! `list_containers`.

use containarium_client::{CallError, Client};
use containarium_contract::{ContainerList, Effect, Endpoint, ListContainers};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tool::Form;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {}

impl From<List> for ListContainers {
    fn from(List {}: List) -> Self {
        Self::default()
    }
}

impl Form for List {
    const NAME: &'static str = "list_containers";
    const TITLE: &'static str = "List containers";
    const ABOUT: &'static str = "List all containers with their status and resources. Sorted by \
        username; `totalCount` is their number. `engine` \"unreachable\" says that the host's \
        container engine does not answer now: then every `state` is absent.";
    const EFFECT: Effect = ListContainers::EFFECT;
    const IDEMPOTENT: bool = true;
    type Answer = ContainerList;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client) -> Result<ContainerList, CallError> {
        client.call(&ListContainers::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_all_of_them() {
        let wanted: ListContainers = serde_json::from_str("{}").unwrap();
        assert_eq!(ListContainers::from(List {}), wanted);
    }
}
