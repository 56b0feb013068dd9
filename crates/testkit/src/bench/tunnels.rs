//! What goes through a tunnel: commands, and many bytes.

use std::{net::Ipv4Addr, process::ExitStatus};

use super::{
    lives::{self, Since},
    place::Place,
    ssh,
    subject::{EXEC_TUNNEL, THROUGHPUT},
    tally::Tally,
    way::Way,
};

/// On one container of ours; it is gone afterwards.
pub(super) async fn measure(place: &Place, tally: &mut Tally, rounds: u32, quick: bool) {
    let made = lives::create(place, Way::Ours).await.made;
    let megabytes = if quick { 20 } else { 200 };
    let zeros = format!("head -c {megabytes}000000 /dev/zero");
    let (username, address) = (&made.username, made.address);
    // The first one writes down the container's key.
    let first = tunnelled(place, username, "true").await;
    if !first.success() && place.own.is_none() {
        let why = "the tunnel: `containarium ssh` does not get through this daemon";
        tally.left_out.push(why.to_owned());
        place.delete(&made).await;
        return;
    }
    must(first);
    for _ in 0..rounds {
        let since = Since::now();
        must(tunnelled(place, username, "true").await);
        tally.note(&EXEC_TUNNEL, Way::Ours, since.ms());
        let since = Since::now();
        must(direct(place, username, address, "true").await);
        tally.note(&EXEC_TUNNEL, Way::Raw, since.ms());
    }
    for _ in 0..rounds.div_ceil(2) {
        let since = Since::now();
        must(tunnelled(place, username, &zeros).await);
        let rate = f64::from(megabytes) / (since.ms() / 1000.0);
        tally.note(&THROUGHPUT, Way::Ours, rate);
        let since = Since::now();
        must(direct(place, username, address, &zeros).await);
        let rate = f64::from(megabytes) / (since.ms() / 1000.0);
        tally.note(&THROUGHPUT, Way::Raw, rate);
    }
    place.delete(&made).await;
}

async fn direct(place: &Place, username: &str, address: Ipv4Addr, line: &str) -> ExitStatus {
    ssh::run(&place.key(), username, address, line).await
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
