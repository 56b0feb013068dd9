//! Creates that take a container which has booted already, where the daemon keeps such. The place for
//! all that is measured of them; without them the run says so.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    lives,
    place::Place,
    subject::{STANDBY_ANSWER, STANDBY_LOGIN},
    tally::Tally,
    way::Way,
};

/// How long a new one may take to be ready.
const REFILL: Duration = Duration::from_secs(120);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// How many containers stand by, as the daemon's `info` says; `None` where it says nothing of them.
pub(super) fn ready(info: &Value) -> Option<u64> {
    info.pointer("/info/standby/ready")?.as_u64()
}

/// Creates while one stands by.
pub(super) async fn measure(place: &Place, tally: &mut Tally, rounds: u32) {
    if stand_by(place).await.is_none() {
        let why = "creates from standby containers: this daemon's info names none";
        tally.left_out.push(why.to_owned());
        return;
    }
    for _ in 0..rounds {
        let end = Instant::now() + REFILL;
        while stand_by(place).await == Some(0) {
            assert!(Instant::now() < end, "none stands by within {REFILL:?}");
            sleep(LOOK).await;
        }
        let created = lives::create(place, Way::Ours).await;
        tally.note(&STANDBY_ANSWER, Way::Ours, created.answer);
        tally.note(&STANDBY_LOGIN, Way::Ours, created.login);
        place.delete(&created.made).await;
    }
}

async fn stand_by(place: &Place) -> Option<u64> {
    ready(&place.rest.read("/v1/system/info").await)
}

#[cfg(test)]
mod tests {
    use super::ready;
    use serde_json::json;

    #[test]
    fn a_daemon_without_standby_containers_is_told() {
        assert_eq!(ready(&json!({"info": {"containersTotal": 1}})), None);
        assert_eq!(ready(&json!({"info": {"standby": {"ready": 2}}})), Some(2));
    }
}
