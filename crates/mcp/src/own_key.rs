//! The public key of the person at this machine, used where a create names none. Read again at each
//! use, so that a key that is made or renewed later counts.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use containarium_contract::SshPublicKey;

/// More than any key; what is longer is no key.
const LONGEST: u64 = 16 * 1024;

/// A file with one public key.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// As the person wrote it.
    given: String,
    path: PathBuf,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("{variable} names {given}, which {why}", variable = OwnKey::VARIABLE)]
pub struct NoOwnKey {
    given: String,
    why: String,
}

impl OwnKey {
    /// The variable that names the file.
    pub const VARIABLE: &'static str = "CONTAINARIUM_SSH_KEY_FILE";

    /// The file that the variable names, with `~` as its person's home, where there is one.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let given = variable(Self::VARIABLE)?.trim().to_owned();
        if given.is_empty() {
            return None;
        }
        let home = || variable("HOME").map(PathBuf::from);
        let path = match given.strip_prefix('~') {
            Some("") => home(),
            Some(rest) => rest
                .strip_prefix('/')
                .and_then(|rest| Some(home()?.join(rest))),
            None => None,
        };
        let path = path.unwrap_or_else(|| Path::new(&given).to_owned());
        Some(Self { given, path })
    }

    /// The file as the person wrote it.
    pub fn name(&self) -> &str {
        &self.given
    }

    /// Reads the key.
    ///
    /// # Errors
    ///
    /// The file is not there or not readable, or holds anything but one public key.
    pub fn read(&self) -> Result<SshPublicKey, NoOwnKey> {
        let refused = |why: String| NoOwnKey {
            given: self.given.clone(),
            why,
        };
        // A pipe would be waited for without end.
        let found = std::fs::metadata(&self.path);
        let found = found.map_err(|e| refused(format!("cannot be read: {e}")))?;
        if !found.is_file() {
            return Err(refused("is not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
            .map_err(|e| refused(format!("cannot be read: {e}")))?;
        String::from_utf8_lossy(&bytes).parse().map_err(
            |e: <SshPublicKey as std::str::FromStr>::Err| {
                refused(format!("holds no public key: {e}"))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";

    fn own(given: &str, home: &Path) -> OwnKey {
        let home = home.to_str().unwrap().to_owned();
        OwnKey::from_env(|name| match name {
            OwnKey::VARIABLE => Some(given.to_owned()),
            "HOME" => Some(home.clone()),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn a_tilde_is_the_home_and_the_file_is_read_each_time() {
        let home = tempfile::tempdir().unwrap();
        let key = own("~/id.pub", home.path());
        let missing = key.read().unwrap_err().to_string();
        assert!(
            missing.starts_with("CONTAINARIUM_SSH_KEY_FILE names ~/id.pub, which cannot be read:"),
            "{missing}"
        );
        std::fs::write(home.path().join("id.pub"), format!("{KEY}\n")).unwrap();
        assert_eq!(key.read().unwrap().as_str(), KEY);
        let whole = home.path().join("id.pub");
        let whole = own(whole.to_str().unwrap(), Path::new("/nowhere"));
        assert_eq!(whole.read().unwrap().as_str(), KEY);
    }

    #[test]
    fn a_private_key_is_refused_with_the_other_files_name_and_never_shown() {
        let home = tempfile::tempdir().unwrap();
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n";
        std::fs::write(home.path().join("id"), private).unwrap();
        let refused = own("~/id", home.path()).read().unwrap_err().to_string();
        assert!(refused.contains("the file that ends in .pub"), "{refused}");
        assert!(!refused.contains("c2VjcmV0"), "{refused}");
        let directory = own("~", home.path()).read().unwrap_err().to_string();
        assert!(directory.ends_with("is not a file"), "{directory}");
    }

    #[test]
    fn there_is_none_unless_it_is_named() {
        assert!(OwnKey::from_env(|_| None).is_none());
        assert!(OwnKey::from_env(|_| Some(" ".to_owned())).is_none());
    }
}
