//! Start-up and idle memory of the daemon.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    daemon::{Daemon, Installed},
    machine::resident,
    progress::Progress,
    subject::{DAEMON_IDLE, DAEMON_START},
    tally::Tally,
    way::Way,
};

/// What a daemon does right after its start is no idling.
const IDLE: Duration = Duration::from_secs(2);

/// Starts it again and again; the last one runs on.
pub(super) async fn measure(installed: &Installed, tally: &mut Tally, rounds: u32) -> Daemon {
    // The first one reads the program from the disk: it is not counted.
    let mut daemon = installed.start().await;
    let mut progress = Progress::of("start-up of the daemon", rounds);
    for round in 0..rounds {
        progress.round(round + 1);
        daemon.stop().await;
        daemon = installed.start().await;
        let cold = daemon.cold.as_secs_f64() * 1000.0;
        tally.note(&DAEMON_START, Way::Ours, cold);
    }
    sleep(IDLE).await;
    tally.note(&DAEMON_IDLE, Way::Ours, resident(daemon.pid()));
    daemon
}
