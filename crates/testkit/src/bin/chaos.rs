//! Random faults for so many minutes: `scripts/chaos` builds and runs this. Not for use beside
//! containers that somebody needs.
//!
//! Variables: `ENGINE` (`sim`, or `incus` within `scripts/with-engine`), `MINUTES`, `KILLS`, `NAMES`,
//! `SEED`.

#![expect(clippy::unwrap_used, reason = "whatever fails ends it")]

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use containarium_testkit::chaos::{Life, Settings, Under, run};

#[tokio::main]
async fn main() -> ExitCode {
    let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str| variable(name).map(|text| text.parse::<u64>().unwrap());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("SEED").unwrap_or(clock.as_millis() as u64 % 1_000_000_000);
    let engine = variable("ENGINE").unwrap_or("sim".into());
    println!("to make the same choices again: SEED={seed} ENGINE={engine}");
    let settings = Settings {
        seed,
        time: Duration::from_secs(60 * number("MINUTES").unwrap_or(5)),
        kills: number("KILLS").unwrap_or(u64::MAX),
        names: number("NAMES").unwrap_or(if engine == "sim" { 6 } else { 3 }) as usize,
    };
    let under = match engine.as_str() {
        "sim" => Some(Under::sim((seed % 200) as u8).await),
        "incus" => Under::live().await,
        other => panic!("ENGINE is sim or incus, and not `{other}`"),
    };
    let Some(under) = under else {
        return ExitCode::FAILURE;
    };
    let program = env::current_exe().unwrap().with_file_name("containarium");
    let mut life = Life::new(&program, &under);
    let begun = Instant::now();
    let mut last = begun;
    let tally = run(&under, &mut life, settings, |tally| {
        if last.elapsed() > Duration::from_secs(15) {
            last = Instant::now();
            println!("{:4} s: {tally}", begun.elapsed().as_secs());
        }
    })
    .await;
    println!(
        "seed {seed}, {engine}, {:.0} s: {tally}",
        begun.elapsed().as_secs_f64()
    );
    if tally.is_good() {
        return ExitCode::SUCCESS;
    }
    for leak in &tally.leaks {
        println!("LEAK {leak}");
    }
    for lost in &tally.lost {
        println!("LOST {lost}");
    }
    println!("the daemon's logs are in {}", life.keep_logs().display());
    ExitCode::FAILURE
}
