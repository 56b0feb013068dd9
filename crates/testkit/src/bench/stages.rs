//! The stages of a cold create, in their order, and what was measured of each. Not where the times come
//! from.

use super::{
    table::{number, percentile},
    tally::Series,
};

/// What a create does, in the order in which it begins. What the guest does lies within [`Self::Make`]
/// and [`Self::Boot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Asked,
    Queued,
    Reserve,
    Make,
    Init,
    Boot,
    Systemd,
    Identity,
    Sshd,
    Heard,
    Commit,
    Answer,
    Login,
}

impl Stage {
    const ALL: [Self; 13] = [
        Self::Asked,
        Self::Queued,
        Self::Reserve,
        Self::Make,
        Self::Init,
        Self::Boot,
        Self::Systemd,
        Self::Identity,
        Self::Sshd,
        Self::Heard,
        Self::Commit,
        Self::Answer,
        Self::Login,
    ];

    /// Its name, and what happens in it.
    fn told(self) -> [&'static str; 2] {
        match self {
            Self::Asked => ["asked", "HTTP, the token, checks, until it is an operation"],
            Self::Queued => ["queued", "until its turn: it is written down meanwhile"],
            Self::Reserve => [
                "– reserve",
                "of that: a name, an address and user ids are held",
            ],
            Self::Make => [
                "make",
                "Incus clones the image and starts the instance, until it says so",
            ],
            Self::Init => [
                "– guest: until systemd",
                "from the beginning of make until its first process begins",
            ],
            Self::Boot => ["boot", "after make, until the daemon has heard `SSH-`"],
            Self::Systemd => [
                "– guest: systemd",
                "from its begin until it begins identity",
            ],
            Self::Identity => ["– guest: identity", "address, hostname, user, host key"],
            Self::Sshd => ["– guest: sshd", "after identity, until it listens"],
            Self::Heard => ["– banner", "from then on until the daemon has heard it"],
            Self::Commit => ["commit", "the answer is put together"],
            Self::Answer => ["answer", "after commit: its transaction, and HTTP"],
            Self::Login => [
                "login",
                "after the answer: `SSH-` heard from here, and all of `ssh … true`",
            ],
        }
    }

    /// Whether it goes on beside a stage of the daemon's.
    fn is_within(self) -> bool {
        self.told()[0].starts_with('–')
    }
}

/// One stage of one create, milliseconds from its request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Which.
    pub(super) stage: Stage,
    /// When it begins.
    pub(super) begins: f64,
    /// When it ends.
    pub(super) ends: f64,
}

/// The stages of all creates.
#[derive(Clone, Debug, Default)]
pub(super) struct Waterfall(Vec<Spans>);

/// One stage of all of them.
#[derive(Clone, Debug)]
struct Spans {
    stage: Stage,
    begins: Series,
    takes: Series,
}

/// A stage as it is drawn, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    /// Its name.
    pub(super) name: &'static str,
    /// p50 of when it begins.
    pub(super) begins: f64,
    /// p50 of how long it takes.
    pub(super) takes: f64,
    /// Whether it goes on beside another.
    pub(super) is_within: bool,
}

/// The heading of [`Waterfall::lines`].
pub(super) const HEADING: [&str; 6] = ["stage", "what", "begins p50", "p50", "p99", "values"];

impl Waterfall {
    /// Notes one stage of one create.
    pub(super) fn note(&mut self, span: Span) {
        let known = self.0.iter().position(|one| one.stage == span.stage);
        let place = known.unwrap_or_else(|| {
            self.0.push(Spans {
                stage: span.stage,
                begins: Series::default(),
                takes: Series::default(),
            });
            self.0.len() - 1
        });
        // Times in whole milliseconds may be a little before those that they follow.
        self.0[place].begins.push(span.begins.max(0.0));
        self.0[place].takes.push((span.ends - span.begins).max(0.0));
    }

    fn in_order(&self) -> impl Iterator<Item = &Spans> {
        let of = |stage| self.0.iter().find(move |one| one.stage == stage);
        Stage::ALL.into_iter().filter_map(of)
    }

    /// Its table, in order; empty where nothing is known.
    pub(super) fn lines(&self) -> Vec<[String; 6]> {
        let line = |one: &Spans| {
            let [name, what] = one.stage.told();
            let p50 = |series: &Series| series.p50().map_or("–".into(), number);
            let (begins, takes) = (p50(&one.begins), p50(&one.takes));
            let p99 = percentile(&one.takes, 99);
            let values = one.takes.count().to_string();
            [name.to_owned(), what.to_owned(), begins, takes, p99, values]
        };
        self.in_order().map(line).collect()
    }

    /// What is drawn of it, in order.
    pub(super) fn bars(&self) -> Vec<Bar> {
        let bar = |one: &Spans| {
            Some(Bar {
                name: one.stage.told()[0],
                begins: one.begins.p50()?,
                takes: one.takes.p50()?,
                is_within: one.stage.is_within(),
            })
        };
        self.in_order().filter_map(bar).collect()
    }
}
