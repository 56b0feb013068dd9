//! What `mcp-server` is told by its environment. Not how it is used.

use std::path::PathBuf;

use containarium_client::{Client, NoClient, Token, TokenError};
use containarium_contract::Face;

use crate::{DebugLog, own_key::OwnKey};

/// The environment, read once.
#[derive(Clone, Debug)]
pub struct Settings {
    server_url: String,
    token: Token,
    ca_file: Option<PathBuf>,
    own_key: Option<OwnKey>,
    debug: bool,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// A variable that must be there is not.
    #[error("{0} environment variable is required")]
    Required(&'static str),
    /// The token cannot be had.
    #[error("{cause}\nHint: check {variable}, or give the token itself as {token}", token = Token::VARIABLE, cause = .0, variable = Token::FILE_VARIABLE)]
    Token(#[from] TokenError),
    /// The URL or the certificates are not usable.
    #[error("{cause}\nHint: check {SERVER_URL} and {ca_file}", cause = .0, ca_file = Client::CA_FILE_VARIABLE)]
    Client(#[from] NoClient),
}

const SERVER_URL: &str = "CONTAINARIUM_SERVER_URL";
const DEBUG: &str = "CONTAINARIUM_DEBUG";

impl Settings {
    /// From the environment that `variable` reads; an empty variable counts as absent.
    ///
    /// # Errors
    ///
    /// A required variable is absent, or its token cannot be read.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadSettings> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let server_url = given(SERVER_URL).ok_or(BadSettings::Required(SERVER_URL))?;
        let token = Token::from_env(given).ok_or(BadSettings::Required(Token::VARIABLE))?;
        let ca_file = given(Client::CA_FILE_VARIABLE).map(PathBuf::from);
        Self::for_server(server_url, token, ca_file, variable)
    }

    /// For a server that is known otherwise; what else the environment says counts.
    ///
    /// # Errors
    ///
    /// The token cannot be read.
    pub fn for_server(
        server_url: String,
        token: Token,
        ca_file: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadSettings> {
        token.check()?;
        Ok(Self {
            server_url,
            token,
            ca_file,
            own_key: OwnKey::from_env(&variable),
            debug: variable(DEBUG).is_some_and(|value| ["true", "1"].contains(&value.trim())),
        })
    }

    /// A client of the daemon in the name of the tools.
    ///
    /// # Errors
    ///
    /// The URL is not one, or the certificates are not usable.
    pub fn client(&self) -> Result<Client, BadSettings> {
        let ca_file = self.ca_file.as_deref();
        Ok(Client::trusting(
            &self.server_url,
            ca_file,
            self.token.clone(),
            Face::Mcp,
        )?)
    }

    /// The key that is used where a create names none, if there is one.
    pub fn own_key(&self) -> Option<&OwnKey> {
        self.own_key.as_ref()
    }

    /// Where protocol messages are logged, if at all.
    pub fn debug_log(&self) -> Option<DebugLog> {
        self.debug.then(|| DebugLog::new(self.token.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let value = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Settings::from_env(value).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_missing_is_named_as_the_handbook_names_it() {
        let url = (SERVER_URL, "http://localhost:8080");
        let required = |name| format!("{name} environment variable is required");
        assert_eq!(from(&[]).unwrap_err(), required("CONTAINARIUM_SERVER_URL"));
        assert_eq!(
            from(&[(SERVER_URL, " ")]).unwrap_err(),
            required("CONTAINARIUM_SERVER_URL")
        );
        assert_eq!(
            from(&[url]).unwrap_err(),
            required("CONTAINARIUM_JWT_TOKEN")
        );
        assert!(from(&[url, ("CONTAINARIUM_JWT_TOKEN", "eyJ")]).is_ok());
    }

    #[test]
    fn an_unreadable_token_file_and_a_bad_url_are_told_at_the_start() {
        let url = (SERVER_URL, "localhost:8080");
        let file = from(&[url, ("CONTAINARIUM_JWT_TOKEN_FILE", "/nowhere")]).unwrap_err();
        assert!(
            file.starts_with("the token file /nowhere cannot be read: "),
            "{file}"
        );
        let settings = from(&[url, ("CONTAINARIUM_JWT_TOKEN", "eyJ")]).unwrap();
        let error = settings.client().unwrap_err().to_string();
        assert!(
            error.starts_with("the server's URL is written http://HOST:PORT"),
            "{error}"
        );
    }

    #[test]
    fn debugging_is_off_unless_asked_for() {
        let with = |debug| {
            from(&[
                (SERVER_URL, "http://h"),
                ("CONTAINARIUM_JWT_TOKEN", "t"),
                (DEBUG, debug),
            ])
            .unwrap()
        };
        assert!(with("true").debug_log().is_some());
        assert!(with("false").debug_log().is_none());
    }
}
