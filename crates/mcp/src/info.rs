//! `get_system_info`.

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Endpoint, GetSystemInfo, SystemInfoAnswer};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Info {}

impl From<Info> for GetSystemInfo {
    fn from(Info {}: Info) -> Self {
        Self {}
    }
}

impl Form for Info {
    const NAME: &'static str = "get_system_info";
    const TITLE: &'static str = "Get system info";
    const ABOUT: &'static str = "Get information about the Containarium host system. How many \
        containers there are and how many run, the host's CPUs, memory and disk (total and \
        available, bytes), its versions, and `defaultImage`: what a create without an image gets.";
    const EFFECT: Effect = GetSystemInfo::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Monitoring;
    type Answer = SystemInfoAnswer;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<SystemInfoAnswer, CallError> {
        client.call(&GetSystemInfo::from(self)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_nothing() {
        let form: Info = serde_json::from_str("{}").unwrap();
        assert_eq!(GetSystemInfo::from(form), GetSystemInfo {});
    }
}
