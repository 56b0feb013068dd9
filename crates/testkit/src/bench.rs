//! How long things take: ours, the raw Incus API and the `incus` command in turn, in one run, on one
//! engine. Seconds differ from machine to machine, the ratios less. What is measured and how is told by
//! `subject`; nothing here judges but `targets`.

mod added;
mod burst;
mod daemon;
mod guest;
mod lists;
mod lives;
mod machine;
mod options;
mod page;
mod place;
mod plot;
mod progress;
mod rates;
mod raw;
mod rest;
mod run;
mod ssh;
mod stages;
mod standby;
mod startups;
mod subject;
mod table;
mod tally;
mod targets;
mod tunnels;
mod waterfall;
mod way;

pub use options::{Options, Target};
pub use run::{Outcome, run};
