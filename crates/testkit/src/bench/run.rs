//! A run: everything in its order, and nothing left behind however it ends.

use std::{fs, path::Path, sync::Arc};

use super::{
    added, burst, lists, lives,
    machine::{Machine, most_resident},
    options::Options,
    page,
    place::Place,
    plot,
    progress::say,
    rates, standby,
    subject::DAEMON_LOAD,
    table,
    tally::Tally,
    tunnels,
    way::Way,
};

/// What came of a run that went through.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// On what.
    pub(super) machine: Machine,
    /// What was measured.
    pub(super) tally: Tally,
    /// With how many rounds.
    pub(super) rounds: Rounds,
}

/// How often things are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// Most of them.
    pub(super) each: u32,
    /// Creates from standby.
    pub(super) standby: u32,
    /// What takes seconds each.
    pub(super) long: u32,
}

/// Measures all there is; `None`, with the reason told, where there is nothing to measure on, or where
/// something failed.
pub async fn run(options: &Options) -> Option<Outcome> {
    let mut tally = Tally::default();
    let place = match &options.target {
        Some(target) => Place::given(target),
        None => {
            let place = Place::standing_by().await?;
            standby::measure(&place, &mut tally, options.standby_rounds()).await;
            // What still waits goes before the next begins.
            place.own?.daemon.stop().await;
            Place::own(&mut tally, options.rounds()).await?
        }
    };
    let place = Arc::new(place);
    let machine = Machine::look(&place).await;
    let all = tokio::spawn(all(Arc::clone(&place), tally, options.clone()));
    let stop = all.abort_handle();
    let told = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.abort();
        }
    });
    let done = all.await;
    told.abort();
    if let Err(error) = &done {
        eprintln!("bench: {error}; taking away what was made");
        place.sweep(options.burst()).await;
    }
    let place = Arc::into_inner(place)?;
    if let Some(own) = place.own {
        own.daemon.stop().await;
    }
    Some(Outcome {
        machine,
        tally: done.ok()?.arranged(),
        rounds: Rounds {
            each: options.rounds(),
            standby: options.standby_rounds(),
            long: options.long_rounds(),
        },
    })
}

async fn all(place: Arc<Place>, mut tally: Tally, options: Options) -> Tally {
    let rounds = options.rounds();
    say("the same container by each way");
    lives::learn(&place).await;
    lives::measure(&place, &mut tally, rounds, !options.quick).await;
    if place.own.is_none() {
        standby::measure(&place, &mut tally, options.standby_rounds()).await;
    }
    burst::measure(&place, &mut tally, options.long_rounds(), options.burst()).await;
    tunnels::measure(&place, &mut tally, &options).await;
    added::start_ups(&place, &mut tally, rounds).await;
    if let Some(own) = &place.own {
        lists::measure(&place, own, &mut tally, &options).await;
        let most = most_resident(own.daemon.pid());
        tally.note(&DAEMON_LOAD, Way::Ours, most);
    } else {
        reads_of_what_is_there(&place, &mut tally, &options).await;
    }
    tally
}

/// Of a daemon that is not ours: nothing is put past it.
async fn reads_of_what_is_there(place: &Place, tally: &mut Tally, options: &Options) {
    let made = lives::create(place, Way::Ours).await.made;
    let list = place.rest.read("/v1/containers").await;
    let many = list["containers"].as_array().map_or(0, Vec::len) as u32;
    rates::measure(place, tally, many, options).await;
    added::calls(place, tally, many, &made.username, options.rounds()).await;
    place.delete(&made).await;
    let mut left_out = |what: &str| tally.left_out.push(what.to_owned());
    left_out(
        "list and get at 1, 50 and 200 containers: empties are made only on an engine of our own",
    );
    left_out("memory and start-up of the daemon: only those of one that this run started");
    if place.raw.is_none() {
        left_out("the raw API and the incus command: no --engine and --project");
    }
}

impl Outcome {
    /// The table.
    pub fn table(&self) -> String {
        table::table(&self.tally)
    }

    /// Writes the page and the plot into this directory.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn write(&self, docs: &Path) -> std::io::Result<()> {
        fs::write(docs.join("benchmarks.md"), page::page(self))?;
        fs::write(docs.join("benchmarks.svg"), plot::plot(&self.tally))
    }
}
