//! Completions of what a person types into a prompt or an address: usernames, images, operations.

use containarium_client::Client;
use containarium_contract::{ListContainers, ListImages, ListOperations};
use rmcp::model::{CompleteRequestParams, CompletionInfo, Reference};

use crate::resources::{CONTAINER, OPERATION};

/// What `asked` could become; nothing where the daemon does not say.
pub(crate) async fn complete(asked: &CompleteRequestParams, client: &Client) -> CompletionInfo {
    let argument = asked.argument.name.as_str();
    // Of a list, the last name is being typed.
    let typed = asked.argument.value.as_str();
    let (before, last) = match typed.rfind(',') {
        Some(comma) => typed.split_at(comma + 1),
        None => ("", typed),
    };
    let last = last.trim_start();
    let all = match &asked.r#ref {
        Reference::Resource(of) if of.uri.starts_with(CONTAINER) => usernames(client).await,
        Reference::Resource(of) if of.uri == OPERATION => operations(client).await,
        Reference::Prompt(_) if argument == "usernames" => usernames(client).await,
        Reference::Prompt(_) if argument == "image" => images(client).await,
        _ => Vec::new(),
    };
    let mut fitting: Vec<String> = all
        .into_iter()
        .filter(|value| value.starts_with(last))
        .map(|value| match before {
            "" => value,
            before => format!("{before} {value}"),
        })
        .collect();
    let total = fitting.len();
    fitting.truncate(CompletionInfo::MAX_VALUES);
    let has_more = total > fitting.len();
    CompletionInfo::with_pagination(fitting, u32::try_from(total).ok(), has_more)
        .unwrap_or_default()
}

async fn usernames(client: &Client) -> Vec<String> {
    let list = client.call(&ListContainers::default()).await;
    let names = list.map(|list| list.containers.into_iter().map(|c| c.username.to_string()));
    names.map(Iterator::collect).unwrap_or_default()
}

async fn images(client: &Client) -> Vec<String> {
    let list = client.call(&ListImages {}).await;
    let names = list.map(|list| list.images.into_iter().map(|image| image.image.to_string()));
    names.map(Iterator::collect).unwrap_or_default()
}

async fn operations(client: &Client) -> Vec<String> {
    let list = client.call(&ListOperations::default()).await;
    let ids = list.map(|list| list.operations.into_iter().map(|op| op.id.to_string()));
    ids.map(Iterator::collect).unwrap_or_default()
}
