//! Creates that take a container which was booted beforehand, where the daemon keeps such; without
//! them the run says so.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    lives::Since,
    place::{Made, Place},
    progress::Progress,
    ssh,
    subject::{STANDBY_ANSWER, STANDBY_LOGIN},
    tally::Tally,
    way::Way,
};

/// How long a new one may take to be ready.
const REFILL: Duration = Duration::from_secs(120);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// The first kind of which the daemon keeps some, as its `info` says.
fn kind(info: &Value) -> Option<&Value> {
    info.pointer("/info/standby/0")
}

/// Waits until as many can be taken as are kept; their kind. `None` where the daemon keeps none.
async fn waits(place: &Place) -> Option<Value> {
    let end = Instant::now() + REFILL;
    loop {
        let info = place.rest.read("/v1/system/info").await;
        let kind = kind(&info)?;
        if kind["ready"].as_u64() >= kind["wanted"].as_u64() {
            return Some(kind.clone());
        }
        assert!(Instant::now() < end, "none stands by within {REFILL:?}");
        sleep(LOOK).await;
    }
}

/// Creates while one stands by.
pub(super) async fn measure(place: &Place, tally: &mut Tally, rounds: u32) {
    let mut progress = Progress::of("creates from standby", rounds);
    for round in 1..=rounds {
        progress.round(round);
        let Some(kind) = waits(place).await else {
            let why = "creates from standby containers: this daemon's info names none";
            tally.left_out.push(why.to_owned());
            return;
        };
        let username = place.username(0);
        let fields = json!({"image": kind["image"], "enableDocker": kind["docker"]});
        let since = Since::now();
        let key = place.public_key();
        let made = place.rest.create_as(&username, key, fields).await;
        let answer = since.ms();
        assert_eq!(made["servedFrom"], "standby", "{made}");
        let address = place.rest.address(&username, made).await;
        ssh::login(&place.key(), &username, address).await;
        tally.note(&STANDBY_ANSWER, Way::Ours, answer);
        tally.note(&STANDBY_LOGIN, Way::Ours, since.ms());
        let made = Made {
            way: Way::Ours,
            username,
            address,
            instance: String::new(),
        };
        place.delete(&made).await;
    }
}

#[cfg(test)]
mod tests {
    use super::kind;
    use serde_json::json;

    #[test]
    fn a_daemon_without_standby_containers_is_told() {
        assert_eq!(kind(&json!({"info": {"containersTotal": 1}})), None);
        let one = json!({"image": "local:debian/12", "docker": false, "wanted": 1, "ready": 1});
        assert_eq!(kind(&json!({"info": {"standby": [one]}})), Some(&one));
    }
}
