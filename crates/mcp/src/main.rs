//! `mcp-server`: the tools on stdin and stdout, as MCP clients start it. Not a daemon: it ends with
//! its stdin.

use std::process::ExitCode;

use clap::Parser as _;
use containarium_mcp::{Modes, OwnKey, Settings, Tools, serve_stdio};

/// The Containarium tools for MCP clients, on stdin and stdout
#[derive(clap::Parser)]
#[command(name = "mcp-server", version, after_help = ENVIRONMENT)]
struct Options {
    #[command(flatten)]
    modes: Modes,
}

const ENVIRONMENT: &str = "\
Environment:
  CONTAINARIUM_SERVER_URL      the daemon, such as http://localhost:8080 (required)
  CONTAINARIUM_JWT_TOKEN       the token (required, unless the next one is given)
  CONTAINARIUM_JWT_TOKEN_FILE  a file with the token, read again at every call
  CONTAINARIUM_CA_FILE         a PEM file of further certificate authorities for https
  CONTAINARIUM_SSH_KEY_FILE    a file with the public key that is used where a create names none, such
                               as ~/.ssh/id_ed25519.pub; read again at every use
  CONTAINARIUM_DEBUG           `true` writes every protocol message to stderr, secrets masked

Make a token on the server: containarium token generate --username mcp-client --roles admin";

fn main() -> ExitCode {
    let Options { modes } = Options::parse();
    match run(modes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(modes: Modes) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::from_env(|name| std::env::var(name).ok())?;
    let tools = Tools::new(settings.client()?).with_modes(modes)?;
    // A create that names a key works without it, so this ends nothing.
    if let Some(Err(why)) = settings.own_key().map(OwnKey::read) {
        eprintln!("warning: {why}");
    }
    // One thread is enough: a call waits for the daemon. More would cost memory in every session.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve_stdio(
        tools.with_own_key(settings.own_key().cloned()),
        settings.debug_log(),
    ));
    // A read of stdin cannot be cancelled; waiting for it would outlive a client that is gone.
    runtime.shutdown_background();
    Ok(served?)
}
