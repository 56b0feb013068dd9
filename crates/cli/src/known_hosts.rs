//! The host keys that ssh learns through tunnels: a file of our own for each container, so that
//! one that was deleted and made again under the same name is a new host and not an attack, while
//! a changed key of the same container still is.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use containarium_client::BaseUrl;
use containarium_contract::Username;

use crate::failure::{Exit, Failure};

/// Where the host key of this user's container on this server is kept.
pub(crate) fn file(server: &BaseUrl, username: &Username) -> Result<PathBuf, Failure> {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty());
    let config = given("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(env::home_dir()?.join(".config")));
    let config = config
        .ok_or_else(|| Failure::new(Exit::Missing, "there is no home directory: set HOME"))?;
    let safe = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let server: String = server
        .address()
        .chars()
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    Ok(config
        .join("containarium")
        .join("known_hosts")
        .join(server)
        .join(username.container_name()))
}

/// Forgets the keys of the container before this one, which was made at `created_at`.
pub(crate) fn renew(file: &Path, created_at: u64) -> io::Result<()> {
    let mark = format!("# made {created_at}\n");
    let known = match fs::read_to_string(file) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if known.starts_with(&mark) {
        return Ok(());
    }
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)?;
    let mut new = tempfile::NamedTempFile::new_in(parent)?;
    new.write_all(mark.as_bytes())?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_for_as_long_as_their_container_lives() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h_8080").join("alice-container");
        renew(&file, 1).unwrap();
        let learnt = "# made 1\nalice-container ssh-ed25519 AAAA\n";
        fs::write(&file, learnt).unwrap();
        renew(&file, 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), learnt);
        renew(&file, 2).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# made 2\n");
    }

    #[test]
    fn two_servers_do_not_share_a_file() {
        let of = |url: &str| file(&url.parse().unwrap(), &"alice".parse().unwrap()).unwrap();
        assert_ne!(of("http://[::1]:8080"), of("http://[::1]:8081"));
        assert!(of("http://h:8080").ends_with("containarium/known_hosts/h_8080/alice-container"));
    }
}
