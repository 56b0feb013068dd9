//! The bearer token and where it comes from. Never printed, and never in an error.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use containarium_contract::Restrictions;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Where the token of a call comes from.
#[derive(Clone, Debug)]
pub struct Token(Source);

#[derive(Clone)]
enum Source {
    Fixed(SecretString),
    File(PathBuf),
    Made(Arc<dyn Fn() -> Result<String, String> + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Made(_) => f.write_str("Made"),
        }
    }
}

/// What a token says of itself. Nothing of it is verified: it is for showing, and the daemon decides.
///
/// Other claims are no business of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSays {
    /// Who it speaks for.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Role names.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Until when it is good, Unix seconds.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expiry: Option<u64>,
    /// What it gives up of what its roles allow.
    #[serde(flatten)]
    pub restrictions: Restrictions,
}

/// Why there is no token to send.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It could not be made.
    #[error("no token can be made: {0}")]
    NotMade(String),
    /// It has nothing in it.
    #[error("the token is empty")]
    Empty,
    /// It could not travel in a header.
    #[error("the token holds a line break or another character that no token has")]
    Characters,
}

impl Token {
    /// The variable that holds the token itself.
    pub const VARIABLE: &'static str = "CONTAINARIUM_JWT_TOKEN";
    /// The variable that names a file with the token.
    pub const FILE_VARIABLE: &'static str = "CONTAINARIUM_JWT_TOKEN_FILE";

    /// This token; one line break at its end does not belong to it.
    pub fn fixed(token: &str) -> Self {
        Self(Source::Fixed(without_line_break(token).into()))
    }

    /// The token in `path`, read at every call, so that a rotated one works without a restart.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// One that `make` makes for each call, so that it need not live longer than a call; an error is
    /// why it could not.
    pub fn made_by(make: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Source::Made(Arc::new(make)))
    }

    /// From the environment that `variable` reads: the token itself, else the file. An empty
    /// variable counts as absent.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let given = |name| variable(name).filter(|value| !value.trim().is_empty());
        given(Self::VARIABLE)
            .map(|token| Self::fixed(&token))
            .or_else(|| given(Self::FILE_VARIABLE).map(Self::in_file))
    }

    /// Whether a call could be made now.
    ///
    /// # Errors
    ///
    /// The file is not readable, or what is there is not a token's text.
    pub fn check(&self) -> Result<(), TokenError> {
        self.header().map(|_| ())
    }

    /// What it says of itself, for showing only: nothing of it is verified. `None` where it cannot be
    /// read, or is no token of a daemon's.
    pub fn says(&self) -> Option<TokenSays> {
        let token = self.read().ok()?;
        let mut parts = token.expose_secret().split('.');
        let (_header, payload) = (parts.next()?, parts.next()?);
        parts.next()?;
        let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    /// `text` without the token, for whoever logs what was said.
    pub fn mask(&self, text: &str) -> String {
        match self.read() {
            Ok(token) if !token.expose_secret().is_empty() => {
                text.replace(token.expose_secret(), "***")
            }
            Ok(_) | Err(_) => text.to_owned(),
        }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Result<HeaderValue, TokenError> {
        let token = self.read()?;
        let token = token.expose_secret();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| TokenError::Characters)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn read(&self) -> Result<SecretString, TokenError> {
        match &self.0 {
            Source::Fixed(token) => Ok(token.clone()),
            Source::File(path) => read_file(path),
            Source::Made(make) => make().map(Into::into).map_err(TokenError::NotMade),
        }
    }
}

/// A few hundred bytes at every call are cheaper than knowing when they changed.
fn read_file(path: &Path) -> Result<SecretString, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|cause| TokenError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    Ok(without_line_break(&text).into())
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(token: &Token) -> String {
        token.header().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn one_line_break_at_the_end_is_dropped() {
        assert_eq!(header(&Token::fixed("eyJ.a.b\n")), "Bearer eyJ.a.b");
        assert_eq!(header(&Token::fixed("eyJ.a.b\r\n")), "Bearer eyJ.a.b");
        assert!(matches!(
            Token::fixed("eyJ\n\n").header(),
            Err(TokenError::Characters)
        ));
        assert!(matches!(
            Token::fixed("\n").header(),
            Err(TokenError::Empty)
        ));
    }

    #[test]
    fn a_token_in_a_file_is_read_anew() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = Token::in_file(file.path());
        std::fs::write(file.path(), "first\n").unwrap();
        assert_eq!(header(&token), "Bearer first");
        std::fs::write(file.path(), "other\n").unwrap();
        assert_eq!(header(&token), "Bearer other");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Token::in_file("/nowhere/token")
            .check()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the token file /nowhere/token cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn the_environment_gives_the_token_before_the_file() {
        let both = |name: &str| Some(format!("of {name}"));
        let token = Token::from_env(both).unwrap();
        assert_eq!(header(&token), "Bearer of CONTAINARIUM_JWT_TOKEN");
        assert!(Token::from_env(|_| Some(String::new())).is_none());
    }

    #[test]
    fn a_token_says_who_it_is_and_what_it_gives_up() {
        let of = |claims: &str| {
            let claims = URL_SAFE_NO_PAD.encode(claims);
            Token::fixed(&format!("eyJ.{claims}.c2ln")).says()
        };
        let says = of(
            r#"{"sub": "alice", "jti": "01J", "roles": ["user"], "exp": 1, "only": ["agent-"], "max": 5,
                "read_only": true}"#,
        );
        let says = says.unwrap();
        assert_eq!(says.subject.as_deref(), Some("alice"));
        assert_eq!(says.jti.as_deref(), Some("01J"));
        assert_eq!(says.roles, ["user"]);
        assert_eq!(says.expiry, Some(1));
        let said = says.restrictions.to_string();
        assert_eq!(said, "only=agent-*; max=5; read-only");
        assert_eq!(of("{}"), Some(TokenSays::default()));
        assert_eq!(of("[1]"), None);
        assert_eq!(of(r#"{"only": "all"}"#), None);
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        for text in ["", "t", "eyJ.a", "eyJ.!.c", "eyJ.e30"] {
            assert_eq!(Token::fixed(text).says(), None, "{text:?}");
        }
        assert_eq!(Token::in_file("/nowhere/token").says(), None);
    }

    #[test]
    fn nothing_shows_it() {
        let token = Token::fixed("eyJsecret");
        assert!(!format!("{token:?}").contains("eyJsecret"));
        assert!(!format!("{:?}", token.header()).contains("eyJsecret"));
        assert_eq!(token.mask("a eyJsecret b"), "a *** b");
    }
}
