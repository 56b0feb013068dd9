//! The secret that signs tokens: where it is found, and that it is never shown.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, chown},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// Where an installation remembers, unless told otherwise: that of the machine.
pub const STATE_DIR: &str = "/var/lib/containarium";
/// Where the machine's installation has its secret, for administrators to find.
pub(crate) const SYSTEM_FILE: &str = "/etc/containarium/jwt.secret";

/// Its members administer the machine's installation without being root.
const GROUP: &str = "containarium";

/// What the command line or the environment says about the secret.
#[derive(Debug, Default)]
pub struct SecretSource {
    /// The secret itself.
    pub secret: Option<SecretString>,
    /// A file that holds it.
    pub file: Option<PathBuf>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// Both a secret and a file were given.
    #[error("give the secret or a file with it, not both")]
    Both,
    /// It is empty.
    #[error("the secret in {0} is empty; `openssl rand -base64 32` makes a good one")]
    Empty(String),
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Finds the secret: what was given, then the machine's file, then the state directory's own,
/// which is made at random where `make` says so.
///
/// The machine's file is for the machine's installation alone: a second one beside it must not
/// take the tokens of the first.
pub fn find(
    given: SecretSource,
    state_dir: &Path,
    make: bool,
) -> Result<SecretSlice<u8>, NoSecret> {
    match given {
        SecretSource {
            secret: Some(_),
            file: Some(_),
        } => Err(NoSecret::Both),
        SecretSource {
            secret: Some(text),
            file: None,
        } => trimmed(
            text.expose_secret().as_bytes(),
            "the command line or environment",
        ),
        SecretSource {
            secret: None,
            file: Some(file),
        } => read(&file),
        SecretSource {
            secret: None,
            file: None,
        } => {
            let system = Path::new(SYSTEM_FILE);
            let own = own_file(state_dir);
            if state_dir == Path::new(STATE_DIR) && system.exists() {
                read(system)
            } else if own.exists() || !make {
                read(&own)
            } else {
                write_new(&own, 0o600)
            }
        }
    }
}

/// Where a state directory has a secret of its own.
pub fn own_file(state_dir: &Path) -> PathBuf {
    state_dir.join("jwt.secret")
}

/// Makes the machine's file, which the group `containarium` may read too where there is one, if `state_dir` is that of the
/// machine's installation and has no secret yet: tokens that are out stay good.
pub fn make_for_machine(state_dir: &Path) -> Result<(), NoSecret> {
    let path = Path::new(SYSTEM_FILE);
    let is_machines = state_dir == Path::new(STATE_DIR);
    if !is_machines || path.exists() || own_file(state_dir).exists() {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|source| at(dir, source))?;
    }
    write_new(path, 0o640)?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    match group(&groups, GROUP) {
        Some(id) => chown(path, None, Some(id)).map_err(|source| at(path, source)),
        None => Ok(()),
    }
}

/// The number of a group, from what `/etc/group` says.
fn group(groups: &str, name: &str) -> Option<u32> {
    let line = groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let mut ids = line.filter_map(|fields| match fields.as_slice() {
        [found, _, id, ..] if *found == name => id.parse().ok(),
        _ => None,
    });
    ids.next()
}

fn read(path: &Path) -> Result<SecretSlice<u8>, NoSecret> {
    let bytes = fs::read(path).map_err(|source| at(path, source))?;
    trimmed(&bytes, &path.display().to_string())
}

/// Editors and `echo` end a file with a line break that nobody meant.
fn trimmed(bytes: &[u8], place: &str) -> Result<SecretSlice<u8>, NoSecret> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        Err(NoSecret::Empty(place.into()))
    } else {
        Ok(bytes.to_vec().into())
    }
}

fn write_new(path: &Path, mode: u32) -> Result<SecretSlice<u8>, NoSecret> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| NoSecret::Random)?;
    let text = STANDARD.encode(bytes);
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes()).and(file.sync_all())) {
        Ok(()) => Ok(text.into_bytes().into()),
        // Somebody was faster: theirs counts.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(source) => Err(at(path, source)),
    }
}

fn at(path: &Path, source: io::Error) -> NoSecret {
    NoSecret::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = find(SecretSource::default(), dir.path(), true).unwrap();
        let again = find(SecretSource::default(), dir.path(), true).unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        let mode = fs::metadata(dir.path().join("jwt.secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_line_break_is_dropped_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        fs::write(&file, "abc\n\n").unwrap();
        let source = SecretSource {
            file: Some(file.clone()),
            secret: None,
        };
        assert_eq!(
            find(source, dir.path(), false).unwrap().expose_secret(),
            b"abc\n"
        );
        fs::write(&file, "\n").unwrap();
        let source = SecretSource {
            file: Some(file),
            secret: None,
        };
        assert!(matches!(
            find(source, dir.path(), false),
            Err(NoSecret::Empty(_))
        ));
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\ncontainarium-x:x:7:\ncontainarium:x:991:alice\n";
        assert_eq!(group(groups, GROUP), Some(991));
        assert_eq!(group("root:x:0:", GROUP), None);
    }

    #[test]
    fn two_sources_are_one_too_many() {
        let source = SecretSource {
            secret: Some("a".into()),
            file: Some("b".into()),
        };
        assert!(matches!(
            find(source, Path::new("/"), false),
            Err(NoSecret::Both)
        ));
    }
}
