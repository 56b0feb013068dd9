//! `list_images`.

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Endpoint, ImageList, ListImages};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Images {}

impl Form for Images {
    const NAME: &'static str = "list_images";
    const TITLE: &'static str = "List images";
    const ABOUT: &'static str = "List the images that are prepared on the server, from which a create \
        takes seconds, and the `remotes` that others may come from, which are prepared at their first \
        create and take minutes. Give a name from here as `image` to create_container.";
    const EFFECT: Effect = ListImages::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Containers;
    type Answer = ImageList;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<ImageList, CallError> {
        client.call(&ListImages {}).await
    }
}
