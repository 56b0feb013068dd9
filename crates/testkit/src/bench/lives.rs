//! Lives of a container, by each way in turn: created, logged in to, used, stopped, started, deleted.

use tokio::time::Instant;

use super::{
    guest,
    place::{Made, Place},
    progress::Progress,
    ssh,
    subject::{
        ADDED_CREATE, ADDED_DELETE, ADDED_START, ADDED_STOP, CREATE_ANSWER, CREATE_BANNER,
        CREATE_LOGIN, DELETE, EXEC, START, STOP,
    },
    tally::Tally,
    waterfall::{self, Moment},
    way::{Way, in_turn},
};

/// Times in milliseconds since something began.
pub(super) struct Since(Instant);

impl Since {
    /// It begins now.
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago that is, milliseconds.
    pub(super) fn ms(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1000.0
    }
}

/// What a create took, milliseconds from its beginning.
pub(super) struct Created {
    /// When that was.
    pub(super) begun: Moment,
    /// What was made.
    pub(super) made: Made,
    /// Until it was answered.
    pub(super) answer: f64,
    /// Until sshd spoke.
    pub(super) banner: f64,
    /// Until somebody was in.
    pub(super) login: f64,
}

/// Creates the container number 0 and logs in.
pub(super) async fn create(place: &Place, way: Way) -> Created {
    let (begun, since) = (Moment::now(), Since::now());
    let made = place.create(way, 0).await;
    let answer = since.ms();
    ssh::banner(made.address).await;
    let banner = since.ms();
    ssh::login(&place.key(), &made.username, made.address).await;
    Created {
        begun,
        made,
        answer,
        banner,
        login: since.ms(),
    }
}

/// Makes a container of ours and learns from it how the other ways make the same.
pub(super) async fn learn(place: &Place) {
    let first = create(place, Way::Ours).await;
    place.learn(&first.made.username).await;
    place.delete(&first.made).await;
}

/// All rounds, after one that is not counted where it is to `warm` up.
pub(super) async fn measure(place: &Place, tally: &mut Tally, rounds: u32, warm: bool) {
    let mut unused = Tally::default();
    let first = if warm { 0 } else { 1 };
    let mut progress = Progress::of("lives of a container", rounds);
    for round in first..=rounds {
        progress.round(round);
        let tally = if round == 0 { &mut unused } else { &mut *tally };
        let mut lives = [None; 3];
        for way in in_turn(place.ways(), round) {
            lives[way.place()] = Some(life(place, tally, way).await);
        }
        if let [Some(ours), Some(raw), _] = lives {
            added(tally, ours, raw);
        }
    }
}

/// What is compared of the lives of one round, milliseconds.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Create → SSH banner.
    banner: f64,
    stop: f64,
    /// Start → SSH banner.
    start: f64,
    delete: f64,
}

/// What the daemon adds to each change: both did the same to the engine, one right after the other.
fn added(tally: &mut Tally, ours: Life, raw: Life) {
    for (subject, added) in [
        (&ADDED_CREATE, ours.banner - raw.banner),
        (&ADDED_START, ours.start - raw.start),
        (&ADDED_STOP, ours.stop - raw.stop),
        (&ADDED_DELETE, ours.delete - raw.delete),
    ] {
        tally.note(subject, Way::Ours, added);
    }
}

/// One life.
async fn life(place: &Place, tally: &mut Tally, way: Way) -> Life {
    let created = create(place, way).await;
    tally.note(&CREATE_ANSWER, way, created.answer);
    tally.note(&CREATE_BANNER, way, created.banner);
    tally.note(&CREATE_LOGIN, way, created.login);
    let made = &created.made;

    let since = Since::now();
    place.exec(made).await;
    tally.note(&EXEC, way, since.ms());
    // By each way, so that the next things are done to the same.
    let guest = match waterfall::wants_guests(tally) {
        true => guest::look(place, made).await,
        false => None,
    };
    if way == Way::Ours {
        waterfall::note(place, tally, &created, guest).await;
    }

    let since = Since::now();
    place.stop(made).await;
    let stop = since.ms();
    tally.note(&STOP, way, stop);

    let since = Since::now();
    place.start(made).await;
    ssh::banner(made.address).await;
    let start = since.ms();
    tally.note(&START, way, start);

    // Deleted as it is in use, not while it boots.
    ssh::login(&place.key(), &made.username, made.address).await;
    let since = Since::now();
    place.delete(made).await;
    let delete = since.ms();
    tally.note(&DELETE, way, delete);
    Life {
        banner: created.banner,
        stop,
        start,
        delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_each_change_is_ours_less_raw() {
        let life = |banner, stop, start, delete| Life {
            banner,
            stop,
            start,
            delete,
        };
        let mut tally = Tally::default();
        let (ours, raw) = (life(9.0, 8.0, 7.0, 6.0), life(1.0, 2.0, 3.0, 7.0));
        added(&mut tally, ours, raw);
        let added = [&ADDED_CREATE, &ADDED_STOP, &ADDED_START, &ADDED_DELETE].map(|subject| {
            let row = tally.row(subject, None);
            row.and_then(|row| row.of(Way::Ours)?.p50())
        });
        assert_eq!(added, [Some(8.0), Some(6.0), Some(4.0), Some(-1.0)]);
    }
}
