//! `containarium mcp`: the tools of `mcp-server`, for a machine that has this program already. What
//! the tools are is the MCP crate's.

use clap::Args;
use containarium_mcp::{OwnKey, Settings, Tools, serve};

use crate::{
    connect::Connect,
    failure::{Exit, Failure},
};

/// Serve the MCP tools on stdin and stdout, as mcp-server does
///
/// An MCP client on another machine needs nothing but ssh:
/// claude mcp add containarium -- ssh -T you@server containarium mcp
#[derive(Debug, Args)]
pub(crate) struct Mcp {}

impl Mcp {
    pub(crate) async fn run(&self, connect: &Connect) -> Result<(), Failure> {
        let target = connect.target()?;
        let variable = |name: &str| std::env::var(name).ok();
        let settings = Settings::for_server(target.server, target.token, target.ca_file, variable)
            .map_err(|e| Failure::new(Exit::Auth, e.to_string()))?;
        let client = settings
            .client()
            .map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
        if let Some(Err(why)) = settings.own_key().map(OwnKey::read) {
            anstream::eprintln!("warning: {why}");
        }
        let served = serve(
            tokio::io::stdin(),
            tokio::io::stdout(),
            Tools::new(client).with_own_key(settings.own_key().cloned()),
            settings.debug_log(),
        );
        served
            .await
            .map_err(|e| Failure::new(Exit::Other, e.to_string()))
    }
}
