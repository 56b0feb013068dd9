//! `containarium token`: its options. What a token is, is core's.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use containarium_contract::Subject;
use containarium_core::{Principal, Role, secret, token, token::Claims};
use secrecy::{SecretSlice, SecretString};
use ulid::Ulid;

use crate::{
    failure::{Exit, Failure},
    jwt_secret,
    output::Format,
    place::StateDir,
    restricted::Restricted,
};

/// Make tokens, and look into them
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    Generate(Generate),
    Inspect(Inspect),
}

/// Make a token and print it, alone, on stdout
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Who it speaks for
    #[arg(long)]
    pub(crate) username: Subject,
    /// What it may: admin, user or viewer
    #[arg(
        long,
        required = true,
        value_delimiter = ',',
        value_name = "ROLE[,ROLE]"
    )]
    pub(crate) roles: Vec<Role>,
    /// How long it is good, such as 24h, 90m or 30d; at most 366d
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) expiry: Duration,
    #[command(flatten)]
    pub(crate) restricted: Restricted,
    #[command(flatten)]
    pub(crate) secret: Secret,
}

/// Show what the token on stdin, or in --token-file, says, and whether it is good
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) secret: Secret,
}

/// The secret that tokens are signed with, as it is given on the command line.
#[derive(Clone, Debug, Args)]
pub(crate) struct Secret {
    /// The secret that tokens are signed with; else CONTAINARIUM_JWT_SECRET
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    pub(crate) secret: Option<SecretString>,
    /// A file with that secret; else CONTAINARIUM_JWT_SECRET_FILE, else the daemon's own
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

impl Secret {
    /// The secret itself.
    pub(crate) fn found(self) -> Result<SecretSlice<u8>, Failure> {
        let given = jwt_secret::given(self.secret, self.secret_file);
        secret::find(given, &self.state.state_dir, false).map_err(|e| {
            Failure::new(Exit::Missing, e.to_string())
                .with_hint("give --secret-file, or run this on the server as the daemon's user")
        })
    }
}

impl Token {
    /// `token_file` is the file that the whole command line names.
    pub(crate) async fn run(
        self,
        token_file: Option<&Path>,
        output: Format,
    ) -> Result<(), Failure> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        match self.what {
            What::Generate(ask) => ask.run(now),
            What::Inspect(ask) => ask.run(token_file, output, now),
        }
    }
}

impl Generate {
    fn run(self, now: u64) -> Result<(), Failure> {
        let who = Principal {
            subject: self.username,
            roles: self.roles,
            restrictions: self.restricted.restrictions(),
        };
        let token = token::mint(
            &self.secret.found()?,
            &who,
            now,
            self.expiry,
            Ulid::generate(),
        );
        let token = token.map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
        writeln!(io::stdout(), "{token}").map_err(other)
    }
}

impl Inspect {
    fn run(self, token_file: Option<&Path>, output: Format, now: u64) -> Result<(), Failure> {
        let text = match token_file {
            Some(file) => fs::read_to_string(file),
            None => {
                let mut text = String::new();
                io::stdin()
                    .take(1 << 16)
                    .read_to_string(&mut text)
                    .map(|_| text)
            }
        };
        let text = text.map_err(other)?;
        let claims = token::verify(&self.secret.found()?, text.trim(), now)
            .map_err(|why| Failure::new(Exit::Auth, format!("this token is not good: {why}")))?;
        let left = Duration::from_secs(claims.exp.saturating_sub(now));
        output.print(&claims, |claims| sentence(claims, left))
    }
}

fn sentence(claims: &Claims, left: Duration) -> String {
    format!(
        "{} may act as {} for another {}{}",
        claims.sub,
        claims.roles.join(", "),
        humantime::format_duration(left),
        claims.restrictions().but()
    )
}

fn other(error: impl ToString) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };

    #[test]
    fn roles_are_given_with_commas() {
        let line = "token generate --username alice --roles user,viewer";
        let Command::Token(Token {
            what: What::Generate(generate),
        }) = parsed(line)
        else {
            panic!()
        };
        assert_eq!(generate.roles, [Role::User, Role::Viewer]);
    }

    #[test]
    fn restrictions_are_given_and_told() {
        let line =
            "token generate --username alice --roles user --only agent-*,bob --max 5 --read-only";
        let Command::Token(Token {
            what: What::Generate(generate),
        }) = parsed(line)
        else {
            panic!()
        };
        let only: Vec<String> = generate
            .restricted
            .only
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(only, ["agent-*", "bob"]);
        let restricted = &generate.restricted;
        assert_eq!((restricted.max, restricted.read_only), (Some(5), true));
        assert_eq!(
            restricted.as_options(),
            " --only 'agent-*,bob' --max 5 --read-only"
        );
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "username": "alice", "sub": "alice", "roles": ["user"], "iss": "", "aud": "", "iat": 0,
            "nbf": 0, "exp": 0, "jti": "", "only": only, "max": 5, "read_only": true,
        }))
        .unwrap();
        assert_eq!(
            sentence(&claims, Duration::from_secs(60)),
            "alice may act as user for another 1m, only with containers named agent-* or bob, with at \
             most 5 containers, and changes nothing"
        );
    }

    #[test]
    fn a_name_that_is_no_container_s_is_refused() {
        let error = refused("token generate --username alice --roles user --only Agent");
        assert!(error.contains("such as `agent-*`"), "{error}");
        refused("token generate --username alice --roles user --only *");
        refused("token generate --username alice --roles user --max few");
    }

    #[test]
    fn what_is_no_role_and_no_time_is_refused() {
        let error = refused("token generate --username alice --roles root");
        assert!(error.contains("admin, user and viewer"), "{error}");
        refused("token generate --username alice --roles user --expiry soon");
    }
}
