//! A sign of life on a terminal while the server is at work. Never in a script's output: it is drawn
//! on stderr, and only where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Awaits `work`, showing `doing` and how long it takes.
pub(crate) async fn shown<T>(doing: String, work: impl Future<Output = T>) -> T {
    // indicatif draws nothing where stderr is not a terminal.
    let bar = ProgressBar::new_spinner().with_message(doing);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    bar.finish_and_clear();
    done
}
