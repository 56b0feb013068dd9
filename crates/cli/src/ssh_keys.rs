//! `containarium ssh-key`: who may log in to a container. Reading a key is in `ssh_key.rs`.

use clap::{Args, Subcommand};
use containarium_client::Client;
use containarium_contract::{
    AddSshKey, Fingerprint, ListSshKeys, RemoveSshKey, SshKey, SshKeysChanged, SshPublicKey,
    Username,
};

use crate::{
    failure::{Exit, Failure},
    output::Format,
    ssh_key,
    table::{self, UNKNOWN},
};

/// See who may log in to a container, and change it; a change takes effect at once
#[derive(Debug, Args)]
pub(crate) struct SshKeys {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Add(Add),
    Remove(Remove),
}

/// List the keys that may log in
#[derive(Debug, Args)]
struct List {
    /// Whose container
    username: Username,
}

/// Let one more key log in
#[derive(Debug, Args)]
struct Add {
    /// Whose container
    username: Username,
    /// A public key, or the file of one
    #[arg(value_name = "FILE|KEY")]
    key: String,
}

/// Stop a key from logging in; sessions that are open stay open
#[derive(Debug, Args)]
struct Remove {
    /// Whose container
    username: Username,
    /// The key's fingerprint as `ssh-key list` shows it, or the key, or its file
    #[arg(value_name = "FINGERPRINT|FILE|KEY")]
    key: String,
    /// Even if it is the last one, after which nobody can log in
    #[arg(long)]
    force: bool,
}

impl SshKeys {
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
        output: Format,
    ) -> Result<(), Failure> {
        match self.verb {
            Verb::List(List { username }) => {
                let list = client()?.call(&ListSshKeys { username }).await?;
                output.print(&list, |list| drawn(&list.ssh_keys))
            }
            Verb::Add(Add { username, key }) => {
                let key = read(&key)?;
                let changed = client()?.call(&AddSshKey { username, key }).await?;
                output.print(&changed, told)
            }
            Verb::Remove(remove) => {
                let changed = client()?.call(&remove.request()?).await?;
                output.print(&changed, told)
            }
        }
    }
}

impl Remove {
    fn request(self) -> Result<RemoveSshKey, Failure> {
        let Self {
            username,
            key,
            force,
        } = self;
        let fingerprint = match key.parse::<Fingerprint>() {
            Ok(fingerprint) => fingerprint,
            // What says that it is one shall be told as one.
            Err(why) if key.starts_with("SHA256:") || key.starts_with("MD5:") => {
                return Err(unusable(&why.to_string()));
            }
            Err(_) => read(&key)?.fingerprint().clone(),
        };
        Ok(RemoveSshKey {
            username,
            fingerprint,
            force,
        })
    }
}

fn read(given: &str) -> Result<SshPublicKey, Failure> {
    ssh_key::parse(given).map_err(|why| unusable(&why))
}

fn unusable(why: &str) -> Failure {
    Failure::new(Exit::Usage, why)
}

fn told(changed: &SshKeysChanged) -> String {
    changed.message.clone()
}

fn drawn(keys: &[SshKey]) -> String {
    let rows = keys.iter().map(|key| {
        let comment = match key.comment.as_str() {
            "" => UNKNOWN,
            comment => comment,
        };
        [
            key.fingerprint.to_string(),
            key.kind.clone(),
            comment.to_owned(),
        ]
    });
    table::columns(["FINGERPRINT", "TYPE", "COMMENT"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};
    use serde_json::{Value, json};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const FINGERPRINT: &str = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";

    fn verb(line: &str) -> Verb {
        let Command::SshKey(keys) = parsed(line) else {
            panic!("{line}")
        };
        keys.verb
    }

    fn removal(line: &str) -> Result<RemoveSshKey, Failure> {
        let Verb::Remove(remove) = verb(line) else {
            panic!("{line}")
        };
        remove.request()
    }

    fn wanted(json: Value) -> RemoveSshKey {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_key_is_removed_by_its_fingerprint_or_by_itself() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), KEY).unwrap();
        let bare = FINGERPRINT.strip_prefix("SHA256:").unwrap();
        let alice = json!({"username": "alice", "fingerprint": FINGERPRINT});
        for given in [FINGERPRINT, bare, file.path().to_str().unwrap()] {
            let request = removal(&format!("ssh-key remove alice {given}")).unwrap();
            assert_eq!(request, wanted(alice.clone()), "{given}");
        }
        let forced = removal(&format!("ssh-key remove alice {FINGERPRINT} --force")).unwrap();
        assert!(forced.force);
    }

    #[test]
    fn what_is_no_key_and_no_fingerprint_is_told() {
        for (given, words) in [
            ("SHA256:abc", "a key's fingerprint is SHA256: and 43"),
            (
                "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
                "an MD5 fingerprint is not taken",
            ),
            ("nowhere.pub", "there is no such file"),
        ] {
            let failure = removal(&format!("ssh-key remove alice {given}")).unwrap_err();
            assert!(format!("{failure:?}").contains(words), "{failure:?}");
        }
    }

    #[test]
    fn keys_are_drawn_like_this() {
        let keys: Vec<SshKey> = serde_json::from_value(json!([
            {"type": "ssh-ed25519", "fingerprint": FINGERPRINT, "comment": "alice@laptop"},
            {"type": "ssh-rsa", "fingerprint": FINGERPRINT, "comment": ""},
        ]))
        .unwrap();
        insta::assert_snapshot!(drawn(&keys), @r"
        FINGERPRINT                                         TYPE         COMMENT
        SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ  ssh-ed25519  alice@laptop
        SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ  ssh-rsa      -
        ");
    }
}
