//! A sign of life on a terminal while the server is at work. Never in a script's output: it is drawn
//! on stderr, and only where that is a terminal.

use std::time::Duration;

use containarium_client::{CallError, Client, doing as step_of};
use containarium_contract::{Endpoint, Operation};
use indicatif::{ProgressBar, ProgressStyle};

/// Awaits `work`, showing `doing` and how long it takes.
pub(crate) async fn shown<T>(doing: String, work: impl Future<Output = T>) -> T {
    let bar = spinner(doing);
    let done = work.await;
    bar.finish_and_clear();
    done
}

/// Asks for a change and awaits it, showing `doing` and what its operation does of it now.
pub(crate) async fn followed<E: Endpoint>(
    doing: String,
    client: &Client,
    request: &E,
) -> Result<E::Answer, CallError> {
    let bar = spinner(doing.clone());
    // Where nobody sees it, nobody need ask for it.
    let done = if bar.is_hidden() {
        client.finish(request, |_| {}).await
    } else {
        let show = |operation: &Operation| bar.set_message(words(&doing, operation));
        client.follow(request, show).await
    };
    bar.finish_and_clear();
    done
}

/// The same for an operation that somebody else has begun.
pub(crate) async fn watched(
    client: &Client,
    begun: Operation,
    patience: Duration,
) -> Result<Operation, CallError> {
    let doing = format!(
        "{} of {}",
        begun.kind.as_str().replace('_', " "),
        begun.target
    );
    let bar = spinner(doing.clone());
    let done = if bar.is_hidden() {
        client.wait(&begun.id, patience).await
    } else {
        let show = |operation: &Operation| bar.set_message(words(&doing, operation));
        client.watch(begun, patience, show).await
    };
    bar.finish_and_clear();
    done
}

fn words(doing: &str, operation: &Operation) -> String {
    match step_of(operation) {
        Some(step) => format!("{doing}: {step}"),
        None => doing.to_owned(),
    }
}

fn spinner(doing: String) -> ProgressBar {
    // indicatif draws nothing where stderr is not a terminal.
    let bar = ProgressBar::new_spinner().with_message(doing);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::tests::operation;
    use serde_json::json;

    #[test]
    fn the_step_stands_behind_what_is_being_done() {
        let step = json!([{"name": "prepare_image", "state": "running",
                           "doing": "downloading images:debian/13", "progress": 40}]);
        let creating = "creating alice-container";
        let running = operation("running", json!({ "steps": step }));
        assert_eq!(
            words(creating, &running),
            "creating alice-container: downloading images:debian/13, 40 %"
        );
        let done = operation("succeeded", json!({}));
        assert_eq!(words(creating, &done), creating);
    }
}
