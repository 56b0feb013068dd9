//! `containarium`: the command for people and scripts. Reading the command line and ending; the rest
//! is a file a command.

mod admin;
mod command;
mod completions;
mod connect;
mod context;
mod contexts;
mod create;
mod daemon;
mod delete;
mod doctor;
#[cfg(test)]
mod documented;
mod engine_socket;
mod events;
mod failure;
mod forward;
mod get;
mod image;
mod image_remotes;
mod info;
mod init;
mod jwt_secret;
mod known_hosts;
mod list;
mod login;
mod mcp;
mod mcp_endpoint;
mod metrics;
mod operation;
mod output;
#[cfg(test)]
mod packaged;
mod place;
mod progress;
mod proxy_command;
mod purge;
mod restricted;
mod retention;
mod simulation;
mod size;
mod ssh;
mod ssh_config;
mod ssh_key;
mod ssh_keys;
mod start;
mod state;
mod stop;
mod supervisor;
mod table;
mod token;
mod tunnel;
mod undelete;
mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    command::Cli,
    failure::{Exit, Failure},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(cli.run());
            // A read of stdin cannot be cancelled; waiting for it would outlive who wrote to it.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new(Exit::Other, error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.told(),
    }
}
