//! `containarium ssh-config`: so that plain ssh, scp, rsync and editors know the containers.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use clap::Args;
use containarium_client::Client;
use containarium_contract::{Face, Hint, ListContainers, Username};

use crate::{
    connect::Connect,
    failure::{Exit, Failure},
    output,
    proxy_command::Way,
};

/// Print `Host` blocks, with which ssh, scp, rsync and editors reach `USER-container`
///
/// With --write they go into a file of their own below ~/.ssh/containarium.d, which one line at the
/// top of ~/.ssh/config includes. Again after a create, for the new container.
#[derive(Debug, Args)]
pub(crate) struct SshConfig {
    /// Whose containers [default: all that the token may see]
    #[arg(value_name = "USERNAME")]
    usernames: Vec<Username>,
    /// Write them where ssh finds them
    #[arg(long, conflicts_with = "usernames")]
    write: bool,
}

/// The line in ~/.ssh/config; ssh looks for it in ~/.ssh.
const INCLUDE: &str = "Include containarium.d/*";

impl SshConfig {
    pub(crate) async fn run(self, client: &Client, connect: &Connect) -> Result<(), Failure> {
        let usernames = self.wanted(client).await?;
        let mut text = format!(
            "# Containers of {}, by `containarium ssh-config`; written anew, and not to be changed here.\n",
            client.server()
        );
        for username in &usernames {
            let way = Way::to(username, client.server(), connect)?;
            text += &format!("\nHost {}\n{}", username.container_name(), way.lines());
        }
        if connect.token_is_in_the_environment()? {
            anstream::eprintln!(
                "note: the token itself is not written; ssh will need CONTAINARIUM_JWT_TOKEN in its \
                 environment, unless `containarium login` saves it"
            );
        }
        if !self.write {
            return output::written(text.trim_end());
        }
        let home = env::home_dir()
            .ok_or_else(|| Failure::new(Exit::Missing, "there is no home directory: set HOME"))?;
        let address = client.server().address().replace([':', '[', ']'], "_");
        let written = write(&home.join(".ssh"), &address, &text)
            .map_err(|(path, e)| Failure::new(Exit::Other, format!("{}: {e}", path.display())))?;
        let count = usernames.len();
        output::written(&format!(
            "{} knows {count} container{} now: ssh, scp, rsync and editors reach them as USERNAME-container.{}",
            written.file.display(),
            if count == 1 { "" } else { "s" },
            if written.included {
                "\n~/.ssh/config includes it from now on, in its first line."
            } else {
                ""
            }
        ))
    }

    async fn wanted(&self, client: &Client) -> Result<Vec<Username>, Failure> {
        let all = client.call(&ListContainers::default()).await?.containers;
        let all: Vec<Username> = all
            .into_iter()
            .map(|container| container.username)
            .collect();
        if let Some(missing) = self.usernames.iter().find(|name| !all.contains(name)) {
            let sentence = format!("there is no container of {missing}");
            return Err(
                Failure::new(Exit::NotFound, sentence).with_hint(Hint::List.render(Face::Cli))
            );
        }
        if self.usernames.is_empty() {
            return Ok(all);
        }
        Ok(self.usernames.clone())
    }
}

struct Written {
    file: PathBuf,
    /// Whether ~/.ssh/config had to be told.
    included: bool,
}

/// Writes the blocks, and has ~/.ssh/config include them.
fn write(dir: &Path, server: &str, text: &str) -> Result<Written, (PathBuf, io::Error)> {
    let ours = dir.join("containarium.d");
    let file = ours.join(server);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&ours)
        .and_then(|()| replace(&file, text))
        .map_err(|e| (file.clone(), e))?;
    let config = dir.join("config");
    let included = include(&config).map_err(|e| (config, e))?;
    Ok(Written { file, included })
}

/// Puts the line at the top, where it is not below a `Host`; whether it was missing.
fn include(config: &Path) -> io::Result<bool> {
    // Whoever keeps it elsewhere has a link here.
    let config = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let known = match fs::read_to_string(&config) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let below = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.eq_ignore_ascii_case("host") || word.eq_ignore_ascii_case("match")
    };
    let mut top = known.lines().take_while(|line| !below(line));
    if top.any(|line| line.trim() == INCLUDE) {
        return Ok(false);
    }
    replace(&config, &format!("{INCLUDE}\n{known}"))?;
    Ok(true)
}

/// At once, so that no ssh reads half of it; with the mode that it had, else for its owner alone.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(file).map_or(0o600, |known| known.permissions().mode());
    let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    new.write_all(text.as_bytes())?;
    new.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_was_there_stays_and_twice_is_once() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(".ssh");
        fs::create_dir(&dir).unwrap();
        let before = "Host *\n    Include containarium.d/*\n    ServerAliveInterval 5\n";
        fs::write(dir.join("config"), before).unwrap();
        fs::set_permissions(dir.join("config"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(write(&dir, "h_8080", "one\n").unwrap().included);
        assert!(!write(&dir, "h_8080", "two\n").unwrap().included);
        assert_eq!(read(&dir, "config"), format!("{INCLUDE}\n{before}"));
        assert_eq!(mode(&dir.join("config")), 0o644);
        assert_eq!(read(&dir, "containarium.d/h_8080"), "two\n");
        assert_eq!(mode(&dir.join("containarium.d/h_8080")), 0o600);
    }

    #[test]
    fn where_nothing_was_all_is_made_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(".ssh");
        assert!(write(&dir, "h_8080", "one\n").unwrap().included);
        for made in ["", "config", "containarium.d", "containarium.d/h_8080"] {
            assert_eq!(mode(&dir.join(made)) & 0o077, 0, "{made}");
        }
    }

    #[test]
    fn a_config_that_is_a_link_stays_one() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("kept");
        fs::write(&kept, "Host x\n").unwrap();
        std::os::unix::fs::symlink(&kept, home.path().join("config")).unwrap();
        assert!(include(&home.path().join("config")).unwrap());
        assert_eq!(read(home.path(), "kept"), format!("{INCLUDE}\nHost x\n"));
    }
}
