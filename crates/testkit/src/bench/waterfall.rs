//! Where a cold create of ours goes, from the moment of the request: when its stages were, as its
//! operation and its guest tell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::{
    guest::Guest,
    lives::Created,
    place::Place,
    stages::{Span, Stage},
    tally::Tally,
};

/// Why there is nothing of it at all.
const NO_STEPS: &str =
    "where a cold create goes: this daemon tells of no operations whose steps have times";
/// Why there is nothing of the guest.
const NO_GUEST: &str = "where a cold create goes, inside the guest: its systemd does not tell of our units by this host's clock";
/// Why there is nothing of either.
const OTHER_CLOCK: &str =
    "where a cold create goes: the times that this daemon tells are not of this host's clock";

/// So much may times be apart that are told in whole milliseconds, milliseconds.
const EXACT: f64 = 3.0;

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since 1970, as daemons tell times.
    day: Duration,
    /// As guests tell times.
    monotonic: Duration,
}

impl Moment {
    /// This one.
    pub(super) fn now() -> Self {
        let monotonic = clock_gettime(ClockId::Monotonic);
        Self {
            day: SystemTime::now().duration_since(UNIX_EPOCH).unwrap(),
            monotonic: Duration::try_from(monotonic).unwrap(),
        }
    }

    /// Milliseconds from here until a time of day.
    fn until(&self, time: &Value) -> Option<f64> {
        let time = humantime::parse_rfc3339(time.as_str()?).ok()?;
        let day = time.duration_since(UNIX_EPOCH).ok()?;
        let apart = day.abs_diff(self.day).as_secs_f64() * 1000.0;
        Some(if day < self.day { -apart } else { apart })
    }
}

/// Whether guests are to be asked: where that was in vain once, it would be again.
pub(super) fn wants_guests(tally: &Tally) -> bool {
    let why = [NO_STEPS, NO_GUEST, OTHER_CLOCK];
    !why.iter().any(|why| tally.is_left_out(why))
}

/// Notes where a create went that has just been done.
pub(super) async fn note(
    place: &Place,
    tally: &mut Tally,
    created: &Created,
    guest: Option<Guest>,
) {
    let username = &created.made.username;
    let path = format!("/v1/operations?kind=create&target={username}&limit=1");
    let told = place.rest.find(&path).await.unwrap_or_default();
    // Another daemon may not know how to look for one.
    let mut all = told["operations"].as_array().into_iter().flatten();
    let ours = all.find(|one| one["kind"] == "create" && one["target"] == **username);
    gather(tally, ours.unwrap_or(&Value::Null), created, guest);
}

fn gather(tally: &mut Tally, operation: &Value, created: &Created, guest: Option<Guest>) {
    let spans = daemons(operation, created);
    if spans.is_empty() {
        tally.leave_out(NO_STEPS);
        return;
    }
    let is_possible = |span: &Span| {
        let forward = span.ends >= span.begins - EXACT;
        span.begins >= -EXACT && forward && span.ends <= created.login + EXACT
    };
    if !spans.iter().all(is_possible) {
        tally.leave_out(OTHER_CLOCK);
        return;
    }
    let of = |stage| spans.iter().find(|span| span.stage == stage);
    let inside = match (guest, of(Stage::Make), of(Stage::Boot)) {
        (Some(guest), Some(make), Some(boot)) => {
            Some(guests(&guest, created, make.begins, boot.ends))
        }
        (None, _, _) | (_, None, _) | (_, _, None) => None,
    };
    match inside.filter(|inside| inside.iter().all(is_possible)) {
        Some(inside) => inside
            .into_iter()
            .for_each(|span| tally.waterfall.note(span)),
        None => tally.leave_out(NO_GUEST),
    }
    for span in spans {
        tally.waterfall.note(span);
    }
}

/// What the daemon tells, and what its caller saw; nothing where no step has times.
fn daemons(operation: &Value, created: &Created) -> Vec<Span> {
    let step = |name: &str, stage| {
        let mut steps = operation["steps"].as_array()?.iter();
        let step = steps.find(|step| step["name"] == name)?;
        Some(Span {
            stage,
            begins: created.begun.until(&step["startedAt"])?,
            ends: created.begun.until(&step["endedAt"])?,
        })
    };
    let steps = [
        step("reserve", Stage::Reserve),
        step("make", Stage::Make),
        step("boot", Stage::Boot),
        step("commit", Stage::Commit),
    ];
    let mut spans: Vec<Span> = steps.into_iter().flatten().collect();
    let Some(last) = spans.last().copied() else {
        return spans;
    };
    let mut add = |stage, begins, ends| {
        spans.push(Span {
            stage,
            begins,
            ends,
        });
    };
    if let Some(written) = created.begun.until(&operation["createdAt"]) {
        add(Stage::Asked, 0.0, written);
        if let Some(queued) = operation["queuedMs"].as_f64() {
            add(Stage::Queued, written, written + queued);
        }
    }
    add(Stage::Answer, last.ends, created.answer);
    add(Stage::Login, created.answer, created.login);
    spans
}

/// What the guest tells, between the daemon's first word to Incus and the end of its waiting.
fn guests(guest: &Guest, created: &Created, make: f64, booted: f64) -> Vec<Span> {
    let begun = created.begun.monotonic.as_secs_f64() * 1000.0;
    let moments = [
        (Stage::Init, guest.systemd - begun),
        (Stage::Systemd, guest.identity - begun),
        (Stage::Identity, guest.identified - begun),
        // Its systemd may come to know it after the daemon did.
        (Stage::Sshd, (guest.listens - begun).min(booted)),
        (Stage::Heard, booted),
    ];
    let mut begins = make;
    let mut spans = Vec::new();
    for (stage, ends) in moments {
        spans.push(Span {
            stage,
            begins,
            ends,
        });
        begins = ends;
    }
    spans
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::{place::Made, way::Way};

    /// Asked for at 1970-01-01T00:00:10, 5 s after the host began.
    fn created() -> Created {
        Created {
            begun: Moment {
                day: Duration::from_secs(10),
                monotonic: Duration::from_secs(5),
            },
            made: Made {
                way: Way::Ours,
                username: "a".into(),
                address: [10, 0, 0, 2].into(),
                instance: String::new(),
            },
            answer: 460.0,
            banner: 462.0,
            login: 660.0,
        }
    }

    fn operation() -> Value {
        let at = |ms: u32| format!("1970-01-01T00:00:10.{ms:03}Z");
        let step = |name: &str, begins, ends| json!({"name": name, "startedAt": at(begins), "endedAt": at(ends)});
        json!({
            "kind": "create", "target": "a", "createdAt": at(2), "queuedMs": 7,
            "steps": [
                step("reserve", 3, 4), step("make", 10, 250), step("boot", 250, 450), step("commit", 450, 451),
            ],
        })
    }

    const GUEST: Guest = Guest {
        systemd: 5230.0,
        identity: 5310.0,
        identified: 5360.0,
        listens: 5400.0,
    };

    fn gathered(operation: &Value, guest: Option<Guest>) -> Tally {
        let mut tally = Tally::default();
        gather(&mut tally, operation, &created(), guest);
        tally
    }

    fn bars(tally: &Tally) -> Vec<(&'static str, u32, u32)> {
        let bars = tally.waterfall.bars().into_iter();
        bars.map(|bar| {
            (
                bar.name,
                bar.begins.round() as u32,
                bar.takes.round() as u32,
            )
        })
        .collect()
    }

    #[test]
    fn a_create_is_told_stage_by_stage_up_to_the_login() {
        let tally = gathered(&operation(), Some(GUEST));
        let wanted = [
            ("asked", 0, 2),
            ("queued", 2, 7),
            ("– reserve", 3, 1),
            ("make", 10, 240),
            ("– guest: until systemd", 10, 220),
            ("boot", 250, 200),
            ("– guest: systemd", 230, 80),
            ("– guest: identity", 310, 50),
            ("– guest: sshd", 360, 40),
            ("– banner", 400, 50),
            ("commit", 450, 1),
            ("answer", 451, 9),
            ("login", 460, 200),
        ];
        assert_eq!(bars(&tally), wanted);
        assert!(tally.left_out.is_empty() && wants_guests(&tally));
        let line = &tally.waterfall.lines()[3];
        assert_eq!(line[2..], ["10.0", "240", "240 max", "1"]);
    }

    #[test]
    fn a_systemd_that_learns_late_that_sshd_listens_moves_nothing_back() {
        let late = Guest {
            listens: 5470.0,
            ..GUEST
        };
        let told = bars(&gathered(&operation(), Some(late)));
        assert!(told.contains(&("– guest: sshd", 360, 90)), "{told:?}");
        assert!(told.contains(&("– banner", 450, 0)), "{told:?}");
    }

    #[test]
    fn without_the_guest_there_is_what_the_daemon_tells() {
        let other_clock = Guest {
            systemd: 230.0,
            ..GUEST
        };
        for guest in [None, Some(other_clock)] {
            let tally = gathered(&operation(), guest);
            assert_eq!(tally.left_out, [NO_GUEST]);
            assert_eq!(bars(&tally).len(), 8);
            assert!(!wants_guests(&tally));
        }
    }

    #[test]
    fn a_daemon_that_tells_no_steps_is_said_to_be_left_out_once() {
        let bare = json!({"kind": "create", "steps": [{"name": "make", "state": "succeeded"}]});
        for operation in [Value::Null, json!({"steps": []}), bare] {
            let mut tally = gathered(&operation, Some(GUEST));
            gather(&mut tally, &operation, &created(), None);
            assert_eq!(tally.left_out, [NO_STEPS]);
            assert!(tally.waterfall.lines().is_empty());
        }
    }

    #[test]
    fn times_of_another_clock_are_left_out() {
        let mut later = created();
        later.begun.day += Duration::from_secs(3600);
        let mut tally = Tally::default();
        gather(&mut tally, &operation(), &later, Some(GUEST));
        assert_eq!(tally.left_out, [OTHER_CLOCK]);
        assert!(tally.waterfall.bars().is_empty());
    }

    #[test]
    fn a_moment_is_now_by_both_clocks() {
        let (one, other) = (Moment::now(), Moment::now());
        assert!(
            other.monotonic >= one.monotonic
                && other.monotonic - one.monotonic < Duration::from_secs(5)
        );
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let until = one.until(&json!(now)).unwrap();
        assert!((-1.0..5000.0).contains(&until), "{until}");
    }
}
