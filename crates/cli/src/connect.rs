//! Which daemon is asked, and with which token: what the command line says, else the environment,
//! else a saved context, else this machine's own daemon.

use std::{
    env,
    ffi::OsString,
    path::{self, Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use containarium_client::{BaseUrl, Client, Token};
use containarium_contract::{Face, Hint, Subject};
use containarium_core::{Principal, Role, secret, token};
use ulid::Ulid;

use crate::{
    contexts::Contexts,
    failure::{Exit, Failure},
    jwt_secret,
};

/// Where a daemon listens unless it was told otherwise.
const HERE: &str = "http://127.0.0.1:8080";
/// How long a token that is made for a call on this machine is good.
const CALL: Duration = Duration::from_secs(60);
/// How long one for a connection that stays open is.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Connect {
    /// A saved server and token, see `containarium login`; else CONTAINARIUM_CONTEXT
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "server")]
    pub(crate) context: Option<String>,
    /// The daemon's URL; else CONTAINARIUM_SERVER_URL, else the current context's, else
    /// http://127.0.0.1:8080
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// A file with the token; else CONTAINARIUM_JWT_TOKEN or CONTAINARIUM_JWT_TOKEN_FILE, else the
    /// context's. On the server, whoever may read its secret needs none
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A PEM file of further certificate authorities for https; else CONTAINARIUM_CA_FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The client that asks.
    #[arg(skip)]
    asks: OnceLock<Client>,
}

/// Where a call goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: String,
    pub(crate) token: Token,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Target {
    /// A client of it.
    pub(crate) fn client(&self, face: Face) -> Result<Client, Failure> {
        let ca_file = self.ca_file.as_deref();
        Ok(Client::trusting(
            &self.server,
            ca_file,
            self.token.clone(),
            face,
        )?)
    }
}

impl Connect {
    /// The options with which another process of ours asks the same server. The token is not among
    /// them: it is saved, or in a file, or inherited with the environment.
    pub(crate) fn arguments(&self) -> Result<Vec<OsString>, Failure> {
        let mut options: Vec<OsString> = match self.meant_context()? {
            Some(name) => vec!["--context".into(), name.into()],
            None => {
                let server = self.given_server().unwrap_or_else(|| HERE.into());
                vec!["--server".into(), server.into()]
            }
        };
        let file = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Some(token) = self.meant_token_file()? {
            options.extend(["--token-file".into(), file(&token).into()]);
        }
        if let Some(ca) = self.ca_file() {
            options.extend(["--ca-file".into(), file(&ca).into()]);
        }
        Ok(options)
    }

    /// The context that a call goes to, named or current.
    fn meant_context(&self) -> Result<Option<String>, Failure> {
        let named = variable("CONTAINARIUM_CONTEXT").filter(|_| self.server.is_none());
        if let Some(name) = self.context.clone().or(named) {
            return Ok(Some(name));
        }
        if self.given_server().is_some() || self.given_token().is_some() {
            return Ok(None);
        }
        Ok(Contexts::read()?.current)
    }

    /// The file with the token that a call sends, where it is in one that was named.
    fn meant_token_file(&self) -> Result<Option<PathBuf>, Failure> {
        if self.token_file.is_some() || self.meant_context()?.is_some() {
            return Ok(self.token_file.clone());
        }
        let is_text = variable(Token::VARIABLE).is_some();
        let named = variable(Token::FILE_VARIABLE).filter(|_| !is_text);
        Ok(named.map(PathBuf::from))
    }

    /// Whether the token is the environment's own, so that another process needs it there.
    pub(crate) fn token_is_in_the_environment(&self) -> Result<bool, Failure> {
        let elsewhere = self.token_file.is_some() || self.meant_context()?.is_some();
        Ok(!elsewhere && variable(Token::VARIABLE).is_some())
    }

    /// A client for connections that stay open: a tunnel ends with its token.
    pub(crate) fn client_for_long(&self) -> Result<Client, Failure> {
        self.target_for(DAY)?.client(Face::Cli)
    }

    /// A client of the daemon.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let client = self.target()?.client(Face::Cli)?;
        Ok(self.asks.get_or_init(|| client).clone())
    }

    /// Whether what was shown came from a daemon whose engine is a simulation.
    pub(crate) fn is_simulated(&self) -> bool {
        self.asks.get().is_some_and(Client::is_simulated)
    }

    /// Where calls go.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        self.target_for(CALL)
    }

    /// The same, for a use that outlasts a call.
    pub(crate) fn target_for(&self, long: Duration) -> Result<Target, Failure> {
        let contexts = Contexts::read()?;
        let ca_file = self.ca_file();
        let of = |context: &crate::contexts::Context| Target {
            server: context.server.clone(),
            token: self.given_token().unwrap_or_else(|| context.token()),
            ca_file: ca_file.clone().or_else(|| context.ca_file.clone()),
        };
        let named = variable("CONTAINARIUM_CONTEXT").filter(|_| self.server.is_none());
        if let Some(name) = self.context.clone().or(named) {
            let context = contexts.named(&name)?;
            return Ok(Target {
                // A token of the environment is for the environment's server.
                token: self
                    .token_file
                    .clone()
                    .map_or_else(|| context.token(), Token::in_file),
                ..of(context)
            });
        }
        if let Some(server) = self.given_server() {
            let token = self.given_token();
            let token = token.or_else(|| contexts.of_server(&server).map(|c| c.token()));
            return Ok(Target {
                token: token.map_or_else(|| own_token(&server, long), Ok)?,
                server,
                ca_file,
            });
        }
        if let Some(token) = self.given_token() {
            return Ok(Target {
                server: HERE.into(),
                token,
                ca_file,
            });
        }
        if let Some(current) = contexts.current() {
            return Ok(of(current?));
        }
        Ok(Target {
            server: HERE.into(),
            token: own_token(HERE, long)?,
            ca_file,
        })
    }

    /// The server that is meant, and its authorities, whoever has a token for it: one that was named,
    /// else the current context's, else this machine's own.
    pub(crate) fn meant_server(&self) -> Result<(String, Option<PathBuf>), Failure> {
        let contexts = Contexts::read()?;
        let named = variable("CONTAINARIUM_CONTEXT").filter(|_| self.server.is_none());
        let context = match (self.context.clone().or(named), self.given_server()) {
            (Some(name), _) => contexts.named(&name)?,
            (None, Some(server)) => return Ok((server, self.ca_file())),
            (None, None) => match contexts.current() {
                Some(current) => current?,
                None => return Ok((HERE.into(), self.ca_file())),
            },
        };
        let ca_file = self.ca_file().or_else(|| context.ca_file.clone());
        Ok((context.server.clone(), ca_file))
    }

    /// The server that was named, and not one that is remembered.
    pub(crate) fn given_server(&self) -> Option<String> {
        self.server
            .clone()
            .or_else(|| variable("CONTAINARIUM_SERVER_URL"))
    }

    /// The file of authorities that was named.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        let named = || variable(Client::CA_FILE_VARIABLE).map(PathBuf::from);
        self.ca_file.clone().or_else(named)
    }

    /// The token that was given, and not one that is remembered or made.
    pub(crate) fn given_token(&self) -> Option<Token> {
        let file = self.token_file.clone().map(Token::in_file);
        file.or_else(|| Token::from_env(|name| env::var(name).ok()))
    }
}

/// A token of our own making, for the daemon of this machine and whoever may read its secret.
fn own_token(server: &str, long: Duration) -> Result<Token, Failure> {
    let is_here = server
        .parse::<BaseUrl>()
        .is_ok_and(|server| server.is_loopback());
    let state_dir = variable("CONTAINARIUM_STATE_DIR")
        .map_or_else(|| PathBuf::from(secret::STATE_DIR), PathBuf::from);
    let secret = secret::find(jwt_secret::given(None, None), &state_dir, false);
    let (true, Ok(secret)) = (is_here, secret) else {
        return Err(no_token());
    };
    // Said in the daemon's log; what it may do follows from the role.
    let subject = variable("SUDO_USER").or_else(|| variable("USER"));
    let subject = subject.and_then(|name| name.parse::<Subject>().ok());
    let root = || "root".parse::<Subject>().ok();
    let Some(subject) = subject.or_else(root) else {
        return Err(no_token());
    };
    let who = Principal {
        subject,
        roles: vec![Role::Admin],
        restrictions: Vec::new(),
    };
    Ok(Token::made_by(move || {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        token::mint(&secret, &who, now, long, Ulid::generate()).map_err(|e| e.to_string())
    }))
}

fn no_token() -> Failure {
    let mint = Hint::MintToken.render(Face::Cli);
    Failure::new(Exit::Auth, "there is no token").with_hint(format!(
        "{mint}, and save it with `containarium login`, or give it as CONTAINARIUM_JWT_TOKEN"
    ))
}

/// A variable; an empty one counts as absent.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}
