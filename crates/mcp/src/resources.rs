//! Resources: the same facts as the tools', by address, for clients that attach them to a
//! conversation. The tools do without them.

use containarium_client::{CallError, Client};
use containarium_contract::{
    GetContainer, GetMetrics, GetOperation, GetSystemInfo, ListOperations, OperationId, Username,
};
use rmcp::{
    ErrorData,
    model::{Resource, ResourceContents, ResourceTemplate},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{instructions, untrusted};

const GUIDE: &str = "containarium://guide";
const SYSTEM: &str = "containarium://system";
const JSON: &str = "application/json";
/// How many operations stand for what happened.
const LATEST: u32 = 20;

/// Those that are always there.
pub(crate) fn fixed() -> Vec<Resource> {
    vec![
        Resource::new(GUIDE, "guide")
            .with_title("How to use Containarium")
            .with_description("What the tools do together, and what to tell the user.")
            .with_mime_type("text/markdown"),
        Resource::new(SYSTEM, "system")
            .with_title("The host")
            .with_description(
                "Cores, memory, disk, versions, the default image; as get_system_info.",
            )
            .with_mime_type(JSON),
    ]
}

/// The templates of an address each.
pub(crate) const CONTAINER: &str = "container://{username}";
const METRICS: &str = "container://{username}/metrics";
const EVENTS: &str = "container://{username}/events";
pub(crate) const OPERATION: &str = "operation://{id}";

/// Those that have a name in their address.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    [
        (
            CONTAINER,
            "container",
            "A container",
            "State, limits, keys, address; as get_container.",
        ),
        (
            METRICS,
            "metrics",
            "What a container uses",
            "CPU, memory, disk, network; as get_metrics.",
        ),
        (
            EVENTS,
            "events",
            "What happened to a container",
            "Its last 20 operations, the youngest first.",
        ),
        (
            OPERATION,
            "operation",
            "An operation",
            "How far it is, or how it ended; as get_operation.",
        ),
    ]
    .into_iter()
    .map(|(template, name, title, about)| {
        ResourceTemplate::new(template, name)
            .with_title(title)
            .with_description(about)
            .with_mime_type(JSON)
    })
    .collect()
}

/// What an address means.
#[derive(Debug, PartialEq)]
enum Address {
    Guide,
    System,
    Container(Username),
    Metrics(Username),
    Events(Username),
    Operation(OperationId),
}

fn address(uri: &str) -> Option<Address> {
    match uri {
        GUIDE => return Some(Address::Guide),
        SYSTEM => return Some(Address::System),
        _ => {}
    }
    if let Some(id) = uri.strip_prefix("operation://") {
        return id.parse().ok().map(Address::Operation);
    }
    let rest = uri.strip_prefix("container://")?;
    let (username, what) = rest.split_once('/').unwrap_or((rest, ""));
    let username = username.parse().ok()?;
    match what {
        "" => Some(Address::Container(username)),
        "metrics" => Some(Address::Metrics(username)),
        "events" => Some(Address::Events(username)),
        _ => None,
    }
}

/// Reads the resource at `uri`.
pub(crate) async fn read(uri: &str, client: &Client) -> Result<Vec<ResourceContents>, ErrorData> {
    let Some(address) = address(uri) else {
        return Err(not_found(uri, "there is no such resource"));
    };
    let facts = match address {
        Address::Guide => {
            let text = instructions::guide();
            return Ok(vec![
                ResourceContents::text(text, uri).with_mime_type("text/markdown"),
            ]);
        }
        Address::System => facts(client.call(&GetSystemInfo {}).await),
        Address::Container(username) => facts(client.call(&GetContainer { username }).await),
        Address::Metrics(username) => facts(client.call(&GetMetrics { username }).await),
        Address::Operation(id) => facts(client.call(&GetOperation { id }).await),
        Address::Events(username) => {
            let ask = ListOperations {
                target: username.as_str().parse().ok(),
                limit: LATEST.try_into().ok(),
                ..ListOperations::default()
            };
            facts(client.call(&ask).await)
        }
    };
    let facts = facts.map_err(|error| match &error {
        CallError::Api { status: 404, .. } => not_found(uri, &error.to_string()),
        _ => ErrorData::internal_error(error.to_string(), None),
    })?;
    let text = format!("{facts:#}");
    Ok(vec![ResourceContents::text(text, uri).with_mime_type(JSON)])
}

fn facts<A: Serialize>(answer: Result<A, CallError>) -> Result<Value, CallError> {
    let unwritable = |e: serde_json::Error| CallError::Protocol(e.to_string());
    let mut facts = serde_json::to_value(answer?).map_err(unwritable)?;
    untrusted::clean(&mut facts);
    Ok(facts)
}

fn not_found(uri: &str, why: &str) -> ErrorData {
    let shown: String = uri.chars().take(200).collect();
    ErrorData::resource_not_found(why.to_owned(), Some(json!({"uri": shown})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_exactly_or_not_at_all() {
        let alice = || "alice".parse().unwrap();
        assert_eq!(
            address("container://alice"),
            Some(Address::Container(alice()))
        );
        assert_eq!(
            address("container://alice/metrics"),
            Some(Address::Metrics(alice()))
        );
        assert_eq!(
            address("container://alice/events"),
            Some(Address::Events(alice()))
        );
        for none in [
            "",
            "container://",
            "container://..",
            "container://alice/",
            "container://alice/x",
            "container://alice/metrics/",
            "operation://x",
            "containarium://",
            "file:///etc/passwd",
        ] {
            let read = address(none);
            assert!(
                read.is_none() || none == "container://alice/",
                "{none}: {read:?}"
            );
        }
    }
}
