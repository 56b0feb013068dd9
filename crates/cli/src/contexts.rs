//! The saved servers: which there are, with which token, and which is the current one. Not how they
//! are shown, and not which server a call goes to.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use containarium_client::Token;
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// A saved server and its token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Context {
    /// The daemon's URL.
    pub(crate) server: String,
    /// The token.
    pub(crate) token: SavedToken,
    /// A PEM file of further authorities for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A token, or where one is kept that somebody else renews.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SavedToken {
    /// Itself.
    Text(String),
    /// Its file.
    File(PathBuf),
}

impl Context {
    /// The token for a call.
    pub(crate) fn token(&self) -> Token {
        match &self.token {
            SavedToken::Text(text) => Token::fixed(text),
            SavedToken::File(path) => Token::in_file(path),
        }
    }
}

/// All of them, as they are in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The name of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads them; no file is no contexts.
    pub(crate) fn read() -> Result<Self, Failure> {
        match file() {
            Some(path) => Self::read_from(&path),
            None => Ok(Self::default()),
        }
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(failed(path, &e.to_string())),
        };
        serde_json::from_str(&text).map_err(|e| failed(path, &e.to_string()))
    }

    /// Writes them, readable for their owner alone: there are tokens in it.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let path = file()
            .ok_or_else(|| Failure::new(Exit::Missing, "there is no HOME to keep contexts in"))?;
        self.write_to(&path)
    }

    fn write_to(&self, path: &Path) -> Result<(), Failure> {
        // Through a new file, so that one cut off here is not half a file.
        let new = path.with_extension("new");
        let write = || -> io::Result<()> {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            let _left = fs::remove_file(&new);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        write().map_err(|e| failed(path, &e.to_string()))
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let there = if names.is_empty() {
                "none is saved".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            Failure::new(
                Exit::Missing,
                format!("there is no context `{name}`; {there}"),
            )
            .with_hint("run `containarium login` to save one")
        })
    }

    /// The current one, where there is one.
    pub(crate) fn current(&self) -> Option<Result<&Context, Failure>> {
        self.current.as_ref().map(|name| self.named(name))
    }

    /// One of that server, whatever its name.
    pub(crate) fn of_server(&self, server: &str) -> Option<&Context> {
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        self.contexts
            .values()
            .find(|context| bare(&context.server) == bare(server))
    }
}

/// The directory of this user's settings.
pub(crate) fn directory() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(config?.join("containarium"))
}

fn file() -> Option<PathBuf> {
    Some(directory()?.join("contexts.json"))
}

fn failed(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Other, format!("{}: {why}", path.display()))
        .with_hint("correct the file, or remove it and run `containarium login` again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn contexts() -> Contexts {
        let context = |server: &str, token| Context {
            server: server.into(),
            token,
            ca_file: None,
        };
        Contexts {
            current: Some("work".into()),
            contexts: BTreeMap::from([
                (
                    "work".into(),
                    context("https://boxes.example", SavedToken::Text("eyJw".into())),
                ),
                (
                    "home".into(),
                    context("http://h:8080/", SavedToken::File("/t".into())),
                ),
            ]),
        }
    }

    #[test]
    fn what_is_saved_is_read_again_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/contexts.json");
        contexts().write_to(&path).unwrap();
        contexts().write_to(&path).unwrap();
        let read = Contexts::read_from(&path).unwrap();
        assert_eq!(read.current.as_deref(), Some("work"));
        assert!(read.contexts == contexts().contexts);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn no_file_is_no_contexts_and_a_torn_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("contexts.json");
        assert!(Contexts::read_from(&path).unwrap().contexts.is_empty());
        fs::write(&path, "{\"current\":").unwrap();
        let Err(failure) = Contexts::read_from(&path) else {
            panic!("it was read")
        };
        assert!(format!("{failure:?}").contains("contexts.json: EOF"));
    }

    #[test]
    fn one_is_found_by_its_name_or_its_server() {
        let all = contexts();
        assert!(all.named("work").is_ok());
        let Err(failure) = all.named("x") else {
            panic!("it was found")
        };
        assert!(format!("{failure:?}").contains("there are: home, work"));
        assert!(all.of_server("http://h:8080").is_some());
        assert!(all.of_server("http://h:8081").is_none());
    }
}
