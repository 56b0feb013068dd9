//! Signs of life for calls that take longer than a client would wait in silence.

use std::time::Duration;

use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Well within the shortest patience that is known of a client.
const EVERY: Duration = Duration::from_secs(5);

/// Awaits `call`, telling the client how long `doing` has taken, where it asked to be told.
pub(crate) async fn reported<T>(
    doing: Option<String>,
    call: impl Future<Output = T>,
    context: &RequestContext<RoleServer>,
) -> T {
    let (Some(doing), Some(token)) = (doing, context.meta.get_progress_token()) else {
        return call.await;
    };
    with_heartbeat(call, EVERY, |elapsed| {
        let beat = ProgressNotificationParam::new(token.clone(), elapsed.as_secs_f64())
            .with_message(format!("{doing}: {} s", elapsed.as_secs()));
        let peer = context.peer.clone();
        async move {
            // Whoever no longer listens has hung up; the call ends by itself.
            let _ = peer.notify_progress(beat).await;
        }
    })
    .await
}

/// Awaits `work`, calling `beat` at once and then `every` so often, never after the end.
async fn with_heartbeat<T, B: Future<Output = ()>>(
    work: impl Future<Output = T>,
    every: Duration,
    mut beat: impl FnMut(Duration) -> B,
) -> T {
    let began = Instant::now();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => beat(began.elapsed()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_call_is_told_of_at_once_and_then_ever_later() {
        let mut beats = Vec::new();
        let work = tokio::time::sleep(Duration::from_secs(12));
        with_heartbeat(work, EVERY, |elapsed| {
            beats.push(elapsed.as_secs());
            std::future::ready(())
        })
        .await;
        assert_eq!(beats, [0, 5, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_done_already_is_not_told_of() {
        let mut beats = 0;
        assert_eq!(
            with_heartbeat(async { 7 }, EVERY, |_| {
                beats += 1;
                std::future::ready(())
            })
            .await,
            7
        );
        assert_eq!(beats, 0);
    }
}
