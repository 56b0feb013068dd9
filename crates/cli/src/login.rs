//! `containarium login`: saves a server and a token as a context, after trying them.

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::absolute,
};

use clap::Args;
use containarium_client::{BaseUrl, Token};
use containarium_contract::{Face, GetSystemInfo};

use crate::{
    connect::{Connect, Target},
    contexts::{Context, Contexts, SavedToken},
    failure::{Exit, Failure},
    output::Format,
    progress,
};

/// Save a server and a token under a name, and use them from now on
///
/// The token is read from --token-file, which is then read anew at every call; else from
/// CONTAINARIUM_JWT_TOKEN, else from stdin, where a terminal does not show it. It is tried before
/// it is saved, in ~/.config/containarium/contexts.json, which only you can read.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// What to call it [default: the server's host]
    pub(crate) name: Option<String>,
}

impl Login {
    pub(crate) async fn run(self, connect: &Connect, output: Format) -> Result<(), Failure> {
        let server = connect.given_server().ok_or_else(|| {
            Failure::new(Exit::Usage, "no server is named")
                .with_hint("give its URL: `containarium login --server https://containers.example`")
        })?;
        let url: BaseUrl = server
            .parse()
            .map_err(|e| Failure::new(Exit::Usage, format!("{e}")).with_hint("check --server"))?;
        let name = self.name.unwrap_or_else(|| url.host().to_owned());
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 63 || !name.chars().all(good) {
            return Err(Failure::new(
                Exit::Usage,
                "a context's name is 1 to 63 letters, digits, `-`, `_` or `.`",
            ));
        }
        let token = match &connect.token_file {
            Some(path) => SavedToken::File(absolute(path).map_err(unreadable)?),
            None => SavedToken::Text(match std::env::var(Token::VARIABLE) {
                Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
                Ok(_) | Err(_) => ask(&server)?,
            }),
        };
        let ca_file = connect.ca_file().map(absolute).transpose();
        let context = Context {
            server,
            token,
            ca_file: ca_file.map_err(unreadable)?,
        };
        let target = Target {
            server: context.server.clone(),
            token: context.token(),
            ca_file: context.ca_file.clone(),
        };
        let client = target.client(Face::Cli)?;
        let trying = format!("asking {}", context.server);
        let answer = progress::shown(trying, client.call(&GetSystemInfo {})).await?;

        let mut contexts = Contexts::read()?;
        let server = context.server.clone();
        contexts.contexts.insert(name.clone(), context);
        contexts.current = Some(name.clone());
        contexts.write()?;
        output.print(&answer, |_| {
            format!("{server} answers; it is the context `{name}`, and the current one.")
        })
    }
}

fn ask(server: &str) -> Result<String, Failure> {
    let text = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("token for {server}: "))
    } else {
        let mut text = String::new();
        io::stdin()
            .take(1 << 16)
            .read_to_string(&mut text)
            .map(|_| text)
    };
    let text = text.map_err(unreadable)?.trim().to_owned();
    if text.is_empty() {
        return Err(Failure::new(Exit::Auth, "no token was given").with_hint(
            "on the server, run `containarium token generate --username YOU --roles user`",
        ));
    }
    Ok(text)
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}
