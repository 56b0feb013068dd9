//! Signs of life for calls that take longer than a client would wait in silence.

use std::time::Duration;

use containarium_client::{Awaited, Client, preparation};
use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Well within the shortest patience that is known of a client.
const EVERY: Duration = Duration::from_secs(5);

/// Awaits `call`, telling the client how long `doing` has taken, and what is done for the image that
/// is awaited, where it asked to be told.
pub(crate) async fn reported<T>(
    doing: Option<String>,
    awaited: Option<(&Client, Awaited)>,
    call: impl Future<Output = T>,
    context: &RequestContext<RoleServer>,
) -> T {
    let (Some(doing), Some(token)) = (doing, context.meta.get_progress_token()) else {
        return call.await;
    };
    with_heartbeat(call, EVERY, |elapsed| {
        let (doing, awaited, token) = (&doing, awaited.as_ref(), token.clone());
        async move {
            // At first there is nothing to wait for.
            let step = match awaited.filter(|_| elapsed >= EVERY) {
                Some((client, awaited)) => preparation(client, awaited).await,
                None => None,
            };
            let step = step.map_or_else(String::new, |step| format!("{step}, "));
            let beat = ProgressNotificationParam::new(token, elapsed.as_secs_f64())
                .with_message(format!("{doing}: {step}{} s", elapsed.as_secs()));
            // Whoever no longer listens has hung up; the call ends by itself.
            let _ = context.peer.notify_progress(beat).await;
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
        // A beat may take a while and must not hold the work up.
        let beat = async {
            ticks.tick().await;
            beat(began.elapsed()).await;
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = beat => {}
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
