//! Which daemon is asked, and with which token.

use std::path::PathBuf;

use clap::Args;
use containarium_client::{Client, Token};
use containarium_contract::{Face, Hint};

use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Connect {
    /// The daemon's URL
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CONTAINARIUM_SERVER_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,
    /// A file with the token; else CONTAINARIUM_JWT_TOKEN or CONTAINARIUM_JWT_TOKEN_FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A PEM file of further certificate authorities for https
    #[arg(long, global = true, value_name = "FILE", env = "CONTAINARIUM_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl Connect {
    /// A client of the daemon.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let from_env = || Token::from_env(|name| std::env::var(name).ok());
        let token = self
            .token_file
            .clone()
            .map(Token::in_file)
            .or_else(from_env);
        let token = token.ok_or_else(|| {
            let mint = Hint::MintToken.render(Face::Cli);
            Failure::new(Exit::Auth, "there is no token").with_hint(format!(
                "{mint}, and give its output as CONTAINARIUM_JWT_TOKEN"
            ))
        })?;
        Ok(Client::trusting(
            &self.server,
            self.ca_file.as_deref(),
            token,
            Face::Cli,
        )?)
    }
}
