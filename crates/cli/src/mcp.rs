//! `containarium mcp`: the tools of `mcp-server`, for a machine that has this program already, and
//! what puts them into an MCP client. What the tools are is the MCP crate's.

mod claims;
mod client;
mod config;
mod doctor;
mod entry;
mod install;
mod session;

use clap::{Args, Subcommand};
use containarium_mcp::{Modes, OwnKey, Settings, Tools, serve_stdio};

use crate::{
    connect::Connect,
    failure::{Exit, Failure},
    output::Format,
};

/// Serve the MCP tools on stdin and stdout, as mcp-server does; or install them into a client
///
/// Without a subcommand it serves. An MCP client on another machine needs nothing but ssh:
/// claude mcp add containarium -- ssh -T you@server containarium mcp
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) modes: Modes,
    #[command(subcommand)]
    pub(crate) what: Option<What>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    Install(install::Install),
    Doctor(doctor::Doctor),
}

impl Mcp {
    pub(crate) async fn run(self, connect: &Connect, output: Format) -> Result<(), Failure> {
        match self.what {
            None => served(connect, self.modes).await,
            Some(What::Install(install)) => install.run(connect, output),
            Some(What::Doctor(doctor)) => doctor.run(output).await,
        }
    }
}

async fn served(connect: &Connect, modes: Modes) -> Result<(), Failure> {
    let target = connect.target()?;
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::for_server(target.server, target.token, target.ca_file, variable)
        .map_err(|e| Failure::new(Exit::Auth, e.to_string()))?;
    let client = settings
        .client()
        .map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let tools = Tools::new(client)
        .with_modes(modes)
        .map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    if let Some(Err(why)) = settings.own_key().map(OwnKey::read) {
        anstream::eprintln!("warning: {why}");
    }
    let served = serve_stdio(
        tools.with_own_key(settings.own_key().cloned()),
        settings.debug_log(),
    );
    served
        .await
        .map_err(|e| Failure::new(Exit::Other, e.to_string()))
}
