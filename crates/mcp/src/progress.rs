//! Signs of life for calls that take longer than a client would wait in silence: what the operation
//! behind a call is doing, at each change and every few seconds.

use std::time::Duration;

use containarium_client::{CallError, Client, doing as step_of};
use containarium_contract::{Endpoint, Operation};
use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// Well within the shortest patience that is known of a client.
const EVERY: Duration = Duration::from_secs(5);
/// Between two signs; what changes faster is told together.
const GAP: Duration = Duration::from_millis(200);

/// The operation behind a call, as it is now: told by the call, seen by whoever waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    now: watch::Sender<Option<Operation>>,
    /// Whether somebody asked to be told of progress.
    heard: bool,
}

impl Watch {
    /// Of a call that has not begun.
    pub(crate) fn new(heard: bool) -> Self {
        Self {
            now: watch::Sender::default(),
            heard,
        }
    }

    /// Makes a change and waits for it, telling of its operation.
    pub(crate) async fn follow<E: Endpoint>(
        &self,
        client: &Client,
        request: &E,
    ) -> Result<E::Answer, CallError> {
        let tell = |operation: &Operation| drop(self.now.send_replace(Some(operation.clone())));
        if self.heard {
            client.follow(request, tell).await
        } else {
            client.finish(request, tell).await
        }
    }

    /// The operation, once there is one.
    pub(crate) async fn operation(&self) -> Operation {
        let mut now = self.now.subscribe();
        let known = now.wait_for(Option::is_some).await;
        match known.ok().and_then(|known| known.clone()) {
            Some(operation) => operation,
            // We hold the other end ourselves.
            None => std::future::pending().await,
        }
    }
}

/// Awaits `call`, telling the client how long `doing` has taken and what its operation does now,
/// where it asked to be told.
pub(crate) async fn reported<T>(
    doing: Option<String>,
    watch: &Watch,
    call: impl Future<Output = T>,
    context: &RequestContext<RoleServer>,
) -> T {
    let (Some(doing), Some(token)) = (doing, context.meta.get_progress_token()) else {
        return call.await;
    };
    let mut scale = Scale::default();
    with_signs(call, EVERY, watch.now.subscribe(), |elapsed, operation| {
        let (value, total) = scale.at(elapsed, operation.as_ref());
        let step = operation.as_ref().and_then(step_of);
        let step = step.map_or_else(String::new, |step| format!("{step}, "));
        let mut sign = ProgressNotificationParam::new(token.clone(), value)
            .with_message(format!("{doing}: {step}{} s", elapsed.as_secs()));
        sign.total = total;
        async move {
            // Whoever no longer listens has hung up; the call ends by itself.
            let _ = context.peer.notify_progress(sign).await;
        }
    })
    .await
}

/// Awaits `work`, calling `sign` at once, at each change, and `every` so often; never after the end.
async fn with_signs<T, S: Future<Output = ()>>(
    work: impl Future<Output = T>,
    every: Duration,
    mut changes: watch::Receiver<Option<Operation>>,
    mut sign: impl FnMut(Duration, Option<Operation>) -> S,
) -> T {
    let began = Instant::now();
    let mut next = began;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        // A sign may take a while and must not hold the work up.
        let one = async {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = changes.changed() => sleep_until(next).await,
            }
            let operation = changes.borrow_and_update().clone();
            sign(began.elapsed(), operation).await;
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = one => {
                next = Instant::now() + GAP;
                ticks.reset();
            }
        }
    }
}

/// Progress as the protocol wants it: a number that grows with every sign, whatever is known.
#[derive(Debug, Default)]
struct Scale {
    last: Option<f64>,
    percent: u8,
}

impl Scale {
    /// The least that counts as more.
    const MORE: f64 = 0.000_001;

    /// The number, and the one at the end where that is known.
    fn at(&mut self, elapsed: Duration, operation: Option<&Operation>) -> (f64, Option<f64>) {
        let seconds = elapsed.as_secs_f64();
        let (value, total) = match operation {
            // Seconds, for want of anything better.
            None => (seconds, None),
            Some(operation) => {
                // Another attempt begins anew. The last percent is the answer's own.
                self.percent = self.percent.max(operation.progress.min(99));
                // Between two percents time goes on, ever slower, and never to the next.
                let within = seconds / (seconds + 60.0);
                (f64::from(self.percent) + within, Some(100.0))
            }
        };
        let value = match self.last {
            Some(last) if value <= last => last + Self::MORE,
            Some(_) | None => value,
        };
        self.last = Some(value);
        (value, total.filter(|total| value <= *total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::time::sleep;

    fn operation(percent: u8) -> Operation {
        serde_json::from_value(json!({
            "id": "01JD3ZQ8M4K6T1W9V5R2X7Y0BC", "kind": "create", "target": "alice",
            "state": "running", "steps": [], "progress": percent, "attempt": 1, "deadline": "d",
            "cause": "c", "actor": "alice", "createdAt": "c", "updatedAt": "u"
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_call_is_told_of_at_once_and_then_ever_later() {
        let mut signs = Vec::new();
        let watch = Watch::new(true);
        let work = sleep(Duration::from_secs(12));
        with_signs(work, EVERY, watch.now.subscribe(), |elapsed, _| {
            signs.push(elapsed.as_secs());
            std::future::ready(())
        })
        .await;
        assert_eq!(signs, [0, 5, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_at_once_and_many_together() {
        let mut signs = Vec::new();
        let watch = Watch::new(true);
        let work = async {
            sleep(Duration::from_secs(2)).await;
            for percent in 1..=50 {
                watch.now.send_replace(Some(operation(percent)));
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_secs(6)).await;
        };
        with_signs(work, EVERY, watch.now.subscribe(), |elapsed, operation| {
            let percent = operation.map(|operation| operation.progress);
            signs.push((elapsed.as_secs(), percent));
            std::future::ready(())
        })
        .await;
        assert_eq!(signs[..2], [(0, None), (2, Some(1))]);
        assert_eq!(signs.last(), Some(&(7, Some(50))), "{signs:?}");
        assert!((5..8).contains(&signs.len()), "{signs:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_done_already_is_not_told_of() {
        let mut signs = 0;
        let watch = Watch::new(true);
        let work = async { 7 };
        let done = with_signs(work, EVERY, watch.now.subscribe(), |_, _| {
            signs += 1;
            std::future::ready(())
        });
        assert_eq!(done.await, 7);
        assert_eq!(signs, 0);
    }

    #[test]
    fn the_number_only_grows_whatever_happens() {
        let mut scale = Scale::default();
        let mut last = -1.0;
        let told = [
            (0, None),
            (0, Some(0)),
            (1, Some(40)),
            (1, Some(40)),
            (500_000, Some(40)),
            (500_001, Some(10)),
            (500_002, Some(99)),
            (500_003, Some(100)),
            (500_003, Some(100)),
        ];
        for (seconds, percent) in told {
            let operation = percent.map(operation);
            let (value, total) = scale.at(Duration::from_secs(seconds), operation.as_ref());
            assert!(value > last, "{value} after {last}");
            assert!(total.is_none_or(|total| value <= total), "{value}");
            assert_eq!(total.is_some(), percent.is_some());
            last = value;
        }
        // A daemon that has no operations.
        let mut scale = Scale::default();
        assert_eq!(scale.at(Duration::from_secs(5), None), (5.0, None));
    }
}
