//! A client's configuration file: reading it, and putting one server into it without touching
//! anything else. It is somebody else's file, so what is in it goes back letter by letter.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf, absolute},
    time::{SystemTime, UNIX_EPOCH},
};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::entry::{Entry, pretty};
use crate::failure::{Exit, Failure};

/// Values as they were written, in the order they were written in.
type Object = IndexMap<String, Box<RawValue>>;

/// A client's file as it was found.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it is, behind every link.
    path: PathBuf,
    /// What it said; `None` where there is no file.
    text: Option<String>,
    all: Object,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Whether there was a server of that name.
    pub(crate) replaced: bool,
    /// Where the file as it was is kept; `None` where there was none, or nothing changed.
    pub(crate) backup: Option<PathBuf>,
}

/// A value of the new file.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Kept(&'a RawValue),
    Servers(IndexMap<&'a str, Value<'a>>),
    New(&'a Entry),
}

impl Config {
    /// Reads it; no file, and an empty one, say nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let path = real(path)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(&path, &e)),
        };
        let all = match text.as_deref().map(str::trim) {
            None | Some("") => Object::new(),
            Some(json) => serde_json::from_str(json).map_err(|e| not_json(&path, "it", &e))?,
        };
        Ok(Self { path, text, all })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is one.
    pub(crate) fn exists(&self) -> bool {
        self.text.is_some()
    }

    /// The server of this name.
    pub(crate) fn entry(&self, key: &str, name: &str) -> Result<Option<Entry>, Failure> {
        let Some(entry) = self.servers(key)?.shift_remove(name) else {
            return Ok(None);
        };
        let entry = serde_json::from_str(entry.get());
        entry.map(Some).map_err(|e| {
            let what = format!("`{name}` in {}", self.path.display());
            Failure::new(Exit::Other, format!("{what} starts no program: {e}"))
        })
    }

    /// Whether a server can be put under this key.
    pub(crate) fn check(&self, key: &str) -> Result<(), Failure> {
        self.servers(key).map(drop)
    }

    fn servers(&self, key: &str) -> Result<Object, Failure> {
        let Some(servers) = self.all.get(key) else {
            return Ok(Object::new());
        };
        serde_json::from_str(servers.get())
            .map_err(|e| not_json(&self.path, &format!("`{key}`"), &e))
    }

    /// Puts a server into it, in the place of one of the same name.
    pub(crate) fn write(&self, key: &str, name: &str, entry: &Entry) -> Result<Written, Failure> {
        let before = self.servers(key)?;
        let mut servers: IndexMap<&str, Value> = kept(&before);
        let replaced = servers.insert(name, Value::New(entry)).is_some();
        let mut all = kept(&self.all);
        all.insert(key, Value::Servers(servers));
        let old = self.text.as_deref().unwrap_or("\n");
        let mut new = pretty(&all, indent(old))?;
        if old.ends_with('\n') {
            new.push('\n');
        }
        let backup = self.replace(&new).map_err(|e| failed(&self.path, &e))?;
        Ok(Written { replaced, backup })
    }

    /// Puts `new` in the file's place in one step, so that no client reads half of it.
    fn replace(&self, new: &str) -> io::Result<Option<PathBuf>> {
        if self.text.as_deref() == Some(new) {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600))?;
            return Ok(None);
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        // Made readable for its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(new.as_bytes())?;
        file.as_file().sync_all()?;
        // Clients write it too.
        let now = fs::read_to_string(&self.path).ok();
        if now != self.text {
            return Err(io::Error::other(
                "somebody wrote it at the same time; run this again",
            ));
        }
        let backup = match &self.text {
            Some(old) => Some(self.back_up(old)?),
            None => None,
        };
        file.persist(&self.path)?;
        Ok(backup)
    }

    fn back_up(&self, old: &str) -> io::Result<PathBuf> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut seconds = now.map_or(0, |now| now.as_secs());
        loop {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".bak-{seconds}"));
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match file {
                Ok(mut file) => {
                    file.write_all(old.as_bytes())?;
                    file.sync_all()?;
                    return Ok(path.into());
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
                Err(e) => return Err(e),
            }
        }
    }
}

/// The file that `path` means: a link is how somebody keeps it elsewhere, and stays one.
fn real(path: &Path) -> Result<PathBuf, Failure> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            absolute(path).map_err(|e| failed(path, &e))
        }
        Err(e) if path.is_symlink() => Err(Failure::new(
            Exit::Missing,
            format!("{} is a link that leads nowhere: {e}", path.display()),
        )
        .with_hint("make the file that it leads to, or remove the link")),
        Err(e) => Err(failed(path, &e)),
    }
}

fn kept(object: &Object) -> IndexMap<&str, Value<'_>> {
    object
        .iter()
        .map(|(key, value)| (key.as_str(), Value::Kept(value)))
        .collect()
}

/// What the first line behind a brace is indented with.
fn indent(text: &str) -> &str {
    let line = text.lines().nth(1).unwrap_or_default();
    let blanks = line.len() - line.trim_start().len();
    match line.get(..blanks) {
        Some(blanks) if !blanks.is_empty() && blanks.len() <= 8 => blanks,
        Some(_) | None => "  ",
    }
}

fn not_json(path: &Path, what: &str, why: &serde_json::Error) -> Failure {
    let file = path.display();
    Failure::new(
        Exit::Conflict,
        format!("{file} is left as it is: {what} is no JSON object ({why})"),
    )
    .with_hint(
        "correct it (a comment, or a comma too many, is not JSON), or run the same with --print and \
         paste the entry in by hand",
    )
}

fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(Exit::Other, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::client::McpClient;

    const OTHERS: &str = "{\n    \"zoom\": 1.50,\n    \"mcpServers\": {\n        \"other\": { \"command\" : \"x\" }\n    },\n    \"big\": 123456789012345678901234567890,\n    \"a\": [ ]\n}\n";

    fn entry(command: &str) -> Entry {
        Entry::new(McpClient::ClaudeDesktop, command.into(), &[])
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn said(failure: &Failure) -> String {
        format!("{failure:?}")
    }

    #[test]
    fn everything_else_stays_letter_by_letter_and_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, OTHERS).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let written = Config::read(&path)
            .unwrap()
            .write("mcpServers", "it", &entry("/c"))
            .unwrap();
        assert!(!written.replaced);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            OTHERS.replace(
                "{ \"command\" : \"x\" }",
                "{ \"command\" : \"x\" },\n        \"it\": {\n            \"command\": \"/c\"\n        }"
            )
        );
        let backup = written.backup.unwrap();
        assert_eq!(fs::read_to_string(&backup).unwrap(), OTHERS);
        assert_eq!(
            backup.parent(),
            fs::canonicalize(&path).unwrap().parent(),
            "{backup:?}"
        );
        assert_eq!((mode(&path), mode(&backup)), (0o600, 0o600));

        let config = Config::read(&path).unwrap();
        let again = config.write("mcpServers", "it", &entry("/d")).unwrap();
        assert!(again.replaced && again.backup != Some(backup));
        let config = Config::read(&path).unwrap();
        let it = config.entry("mcpServers", "it").unwrap();
        assert_eq!(it, Some(entry("/d")));
        let same = config.write("mcpServers", "it", &entry("/d")).unwrap();
        assert_eq!(same.backup, None, "nothing changed");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_is_not_there_or_empty_is_made() {
        let directory = tempfile::tempdir().unwrap();
        for (file, before) in [("a/b/new.json", None), ("empty.json", Some(""))] {
            let path = directory.path().join(file);
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            let config = Config::read(&path).unwrap();
            assert_eq!(config.entry("servers", "it").unwrap(), None);
            config.write("servers", "it", &entry("/c")).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(
                text.trim_end(),
                "{\n  \"servers\": {\n    \"it\": {\n      \"command\": \"/c\"\n    }\n  }\n}"
            );
            assert_eq!(mode(&path), 0o600);
        }
    }

    #[test]
    fn what_is_not_json_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcp.json");
        for bad in [
            "{\n  // mine\n  \"servers\": {}\n}",
            "{\"servers\":",
            "[]",
            "{\"servers\": {},}",
            "{\"servers\": []}",
        ] {
            fs::write(&path, bad).unwrap();
            let refused = Config::read(&path).and_then(|c| c.write("servers", "it", &entry("/c")));
            let told = said(&refused.unwrap_err());
            assert!(
                told.contains("is left as it is") && told.contains("--print"),
                "{told}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_link_is_followed_and_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (link, real) = (
            directory.path().join("config.json"),
            directory.path().join("dotfiles/config.json"),
        );
        fs::create_dir(directory.path().join("dotfiles")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let nowhere = Config::read(&link).unwrap_err();
        assert!(said(&nowhere).contains("leads nowhere"), "{nowhere:?}");
        fs::write(&real, OTHERS).unwrap();
        let config = Config::read(&link).unwrap();
        config.write("mcpServers", "it", &entry("/c")).unwrap();
        assert!(link.is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("\"/c\""));
    }

    #[test]
    fn what_a_client_wrote_meanwhile_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, OTHERS).unwrap();
        let config = Config::read(&path).unwrap();
        fs::write(&path, "{}").unwrap();
        let refused = config.write("mcpServers", "it", &entry("/c")).unwrap_err();
        assert!(said(&refused).contains("at the same time"), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }

    #[test]
    fn a_file_keeps_its_indentation() {
        assert_eq!(indent("{\n\t\"a\": 1\n}"), "\t");
        assert_eq!(indent("{\n    \"a\": 1\n}"), "    ");
        assert_eq!(indent("{\"a\": 1}"), "  ");
        assert_eq!(indent(""), "  ");
    }
}
