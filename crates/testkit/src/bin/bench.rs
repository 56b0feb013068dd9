//! How long things take: `scripts/bench` builds and runs this.

use std::process::ExitCode;

use clap::Parser as _;
use containarium_testkit::bench::{Options, run};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let Some(outcome) = run(&options).await else {
        return ExitCode::FAILURE;
    };
    println!("{}", outcome.table());
    if let Some(docs) = &options.write_docs
        && let Err(error) = outcome.write(docs)
    {
        eprintln!("bench: {}: {error}", docs.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
