//! A sign of life on a terminal while the server is at work. Never in a script's output: it is drawn
//! on stderr, and only where that is a terminal.

use std::time::Duration;

use containarium_client::{Awaited, Client, preparation};
use indicatif::{ProgressBar, ProgressStyle};

/// Between two looks at what is being waited for.
const LOOK: Duration = Duration::from_secs(2);

/// Awaits `work`, showing `doing` and how long it takes.
pub(crate) async fn shown<T>(doing: String, work: impl Future<Output = T>) -> T {
    let bar = spinner(doing);
    let done = work.await;
    bar.finish_and_clear();
    done
}

/// The same, and what is being done for the image that the work may be waiting for.
pub(crate) async fn shown_preparing<T>(
    doing: String,
    client: &Client,
    awaited: Awaited,
    work: impl Future<Output = T>,
) -> T {
    let bar = spinner(doing.clone());
    let looks = async {
        // Nobody would see it elsewhere.
        while !bar.is_hidden() {
            tokio::time::sleep(LOOK).await;
            let step = preparation(client, &awaited).await;
            let step = step.map(|step| format!("{doing}: {step}"));
            bar.set_message(step.unwrap_or_else(|| doing.clone()));
        }
        std::future::pending().await
    };
    let done = tokio::select! {
        done = work => done,
        never = looks => never,
    };
    bar.finish_and_clear();
    done
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
