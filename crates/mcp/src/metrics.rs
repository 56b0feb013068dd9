//! `get_metrics`: of one container or, without a username, of all.

use containarium_client::{CallError, Client};
use containarium_contract::{Effect, Endpoint, GetMetrics, ListMetrics, MetricsAnswer, Username};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::{
    progress::Watch,
    tool::{Form, Toolset},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Username of specific container (optional, empty for all)
    #[serde(default, deserialize_with = "empty_is_none")]
    #[schemars(with = "String", extend("default" = ""))]
    username: Option<Username>,
}

fn empty_is_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Username>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

/// The two requests behind the tool.
#[derive(Debug, PartialEq)]
enum Request {
    One(GetMetrics),
    All(ListMetrics),
}

impl From<Metrics> for Request {
    fn from(Metrics { username }: Metrics) -> Self {
        match username {
            Some(username) => Self::One(GetMetrics { username }),
            None => Self::All(ListMetrics {}),
        }
    }
}

impl Form for Metrics {
    const NAME: &'static str = "get_metrics";
    const TITLE: &'static str = "Get metrics";
    const ABOUT: &'static str = "Get runtime metrics (CPU, memory, disk, network) for containers. \
        Sampled at the call; `engine` \"unreachable\" says that the host's container engine does not \
        answer now: then samples are the last that were taken, as `sampledAt` says. CPU is seconds of \
        CPU time since the container started, so a load needs two calls; sizes are bytes. What cannot \
        be told, as of a stopped container, is absent.";
    const EFFECT: Effect = GetMetrics::EFFECT;
    const IDEMPOTENT: bool = true;
    const TOOLSET: Toolset = Toolset::Monitoring;
    type Answer = MetricsAnswer;

    fn doing(&self) -> Option<String> {
        None
    }

    async fn call(self, client: &Client, _: &Watch) -> Result<MetricsAnswer, CallError> {
        match Request::from(self) {
            Request::One(request) => client.call(&request).await,
            Request::All(request) => client.call(&request).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arguments: &str) -> Request {
        serde_json::from_str::<Metrics>(arguments).unwrap().into()
    }

    #[test]
    fn a_username_asks_for_one_and_none_or_an_empty_one_for_all() {
        let alice = GetMetrics {
            username: "alice".parse().unwrap(),
        };
        assert_eq!(request(r#"{"username":"alice"}"#), Request::One(alice));
        assert_eq!(request("{}"), Request::All(ListMetrics {}));
        assert_eq!(request(r#"{"username":""}"#), Request::All(ListMetrics {}));
        assert!(serde_json::from_str::<Metrics>(r#"{"username":".."}"#).is_err());
    }
}
