//! `list_containers`.

use containarium_client::{CallError, Client};
use std::num::NonZeroU32;

use containarium_contract::{
    ContainerList, Cursor, Effect, Endpoint, LabelFilter, ListContainers, State, Subject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only those in this state (default: all but the deleted); "deleted" shows those that
    /// undelete_container can bring back, and until when
    #[serde(default)]
    state: Option<State>,
    /// Only those with this label: "key=value", or "key"
    #[serde(default)]
    label: Option<LabelFilter>,
    /// Only those of this owner
    #[serde(default)]
    owner: Option<Subject>,
    /// At most so many
    #[serde(default = "page")]
    limit: NonZeroU32,
    /// The `nextCursor` of the answer before, for the next page
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// What a model can look over.
fn page() -> NonZeroU32 {
    const { NonZeroU32::new(50).unwrap() }
}

impl From<List> for ListContainers {
    fn from(form: List) -> Self {
        let List {
            state,
            label,
            owner,
            limit,
            cursor,
        } = form;
        Self {
            state,
            label,
            owner,
            limit: Some(limit),
            cursor,
        }
    }
}

/// One page of the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    #[serde(flatten)]
    list: ContainerList,
    /// Whether there are more; call again with `cursor` set to `nextCursor`.
    truncated: bool,
}

impl Form for List {
    const NAME: &'static str = "list_containers";
    const TITLE: &'static str = "List containers";
    const ABOUT: &'static str = "List all containers with their status and resources. Sorted by \
        username, 50 at a time unless `limit` says otherwise; `totalCount` is the number of all. `engine` \"unreachable\" says that the host's \
        container engine does not answer now: then a `state` is the last that was seen, or absent.";
    const EFFECT: Effect = ListContainers::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = Page;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<Page, CallError> {
        let list = client.call(&ListContainers::from(self)).await?;
        Ok(Page {
            truncated: list.next_cursor.is_some(),
            list,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reaches_its_field() {
        for sent in [
            r#"{"limit":50}"#,
            r#"{"state":"deleted","label":"team=red","owner":"bob","limit":2,"cursor":"alice"}"#,
        ] {
            let form: List = serde_json::from_str(sent).unwrap();
            let wanted: ListContainers = serde_json::from_str(sent).unwrap();
            assert_eq!(ListContainers::from(form), wanted);
        }
        let form: List = serde_json::from_str("{}").unwrap();
        assert_eq!(ListContainers::from(form).limit, NonZeroU32::new(50));
    }
}
