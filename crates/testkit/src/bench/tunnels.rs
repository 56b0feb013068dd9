//! What goes through a tunnel: commands, and many bytes.

use std::process::ExitStatus;

use super::{
    lives::{self, Since},
    options::Options,
    place::{Made, Place},
    progress::Progress,
    ssh,
    subject::{EXEC_TUNNEL, THROUGHPUT},
    tally::Tally,
    way::{Way, in_turn},
};

/// Those that there are: the `incus` command has no tunnel.
const WAYS: [Way; 2] = [Way::Ours, Way::Raw];

/// On one container of ours; it is gone afterwards.
pub(super) async fn measure(place: &Place, tally: &mut Tally, options: &Options) {
    let made = lives::create(place, Way::Ours).await.made;
    let megabytes = if options.quick { 20 } else { 200 };
    let zeros = format!("head -c {megabytes}000000 /dev/zero");
    // The first one writes down the container's key.
    let first = tunnelled(place, &made.username, "true").await;
    if !first.success() && place.own.is_none() {
        let why = "the tunnel: `containarium ssh` does not get through this daemon";
        tally.left_out.push(why.to_owned());
        place.delete(&made).await;
        return;
    }
    must(first);
    let mut progress = Progress::of("commands through the tunnel", options.rounds());
    for round in 0..options.rounds() {
        progress.round(round + 1);
        for way in in_turn(&WAYS, round) {
            let since = Since::now();
            through(place, way, &made, "true").await;
            tally.note(&EXEC_TUNNEL, way, since.ms());
        }
    }
    let mut progress = Progress::of("throughput of the tunnel", options.long_rounds());
    for round in 0..options.long_rounds() {
        progress.round(round + 1);
        for way in in_turn(&WAYS, round) {
            let since = Since::now();
            through(place, way, &made, &zeros).await;
            let rate = f64::from(megabytes) / (since.ms() / 1000.0);
            tally.note(&THROUGHPUT, way, rate);
        }
    }
    place.delete(&made).await;
}

/// Runs `line` in it: ours through the tunnel, raw straight.
async fn through(place: &Place, way: Way, made: &Made, line: &str) {
    must(match way {
        Way::Ours => tunnelled(place, &made.username, line).await,
        Way::Raw => ssh::run(&place.key(), &made.username, made.address, line).await,
        Way::Incus => unreachable!("the incus command has no tunnel"),
    });
}

async fn tunnelled(place: &Place, username: &str, line: &str) -> ExitStatus {
    let mut command = place.program("containarium");
    command.args(["ssh", username, "-i"]).arg(place.key());
    command.args(ssh::options()).args(["--", line]);
    let told = command.output().await.unwrap();
    if !told.status.success() {
        eprintln!("bench: {}", String::from_utf8_lossy(&told.stderr));
    }
    told.status
}

fn must(status: ExitStatus) {
    assert!(status.success(), "ssh: {status}");
}
