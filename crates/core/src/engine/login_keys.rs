//! The keys that sshd in a container reads, written through Incus's file API: running, stopped or
//! frozen. Which keys those shall be is decided in `ssh_keys.rs`.
//!
//! sshd reads two files. A new list is written to the one that is not there, and then the other is
//! removed: so at no moment is there no list, whatever breaks. A file that Incus overwrites would
//! instead be empty when the disk is full, and the one who could free it could not log in.
//!
//! All of this lies where the tenant is root. Paths are resolved inside the container, so what a
//! tenant puts in the way misleads nobody but themselves; it must only not be told as done.

use std::{collections::BTreeMap, time::Duration};

use containarium_contract::SshPublicKey;
use containarium_incus::{Error, FileKind, FilePost, InstancePatch};
use tokio::time::timeout;

use super::Engine;

/// The tag with the same keys, from which Incus renders the first file when a container is made.
pub(crate) const TAG: &str = "user.containarium.ssh_keys";

const DIR: &str = "/etc/containarium";
const FILES: [&str; 2] = ["ssh_keys", "ssh_keys.2"];
/// Where our image tells sshd of the files.
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config.d/10-containarium.conf";

/// How long reading that may take: two kilobytes, through a server that Incus may have to start first.
const READ: Duration = Duration::from_secs(5);

/// The keys as lines of `authorized_keys`.
pub(crate) fn lines(keys: &[SshPublicKey]) -> String {
    let keys: Vec<&str> = keys.iter().map(SshPublicKey::as_str).collect();
    keys.join("\n")
}

/// Why a list was not written. What was in force before is in force, unless it says otherwise.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// The disk is full.
    NoSpace(Error),
    /// What lies there cannot be replaced.
    InTheWay(Error),
    /// Incus failed otherwise.
    Failed(Error),
    /// Incus broke off in the middle: either list may be in force, or both.
    Unknown(Error),
}

impl Engine {
    /// Whether sshd in the instance is told to read both files.
    pub(crate) async fn reads_login_keys(&self, instance: &str) -> Result<bool, Error> {
        let read = timeout(READ, self.incus.pull_file(instance, SSHD_CONFIG));
        let Ok(read) = read.await else {
            // A tenant may have put a pipe there, from which nothing ever comes.
            return Ok(false);
        };
        match read {
            Ok(config) => Ok(names_both(&String::from_utf8_lossy(&config))),
            // Not there, or no file.
            Err(Error::NotFound(_) | Error::Conflict(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Makes these the keys that sshd reads: three calls, a fourth where the tenant removed the
    /// directory.
    pub(crate) async fn put_login_keys(
        &self,
        instance: &str,
        keys: &[SshPublicKey],
    ) -> Result<(), NotWritten> {
        let there = match self.incus.list_directory(instance, DIR).await {
            Ok(names) => names,
            Err(Error::NotFound(_)) => {
                let made = self.make_key_directory(instance).await;
                if let Err(error) = made {
                    return Err(self.why_not_written(instance, error).await);
                }
                Vec::new()
            }
            Err(other) => return Err(self.why_not_written(instance, other).await),
        };
        let is_there = |file: &str| there.iter().any(|name| name == file);
        // Both are there after a change that broke off: then the second is the one to write again.
        let [first, second] = FILES;
        let (new, old) = if is_there(first) {
            (second, first)
        } else {
            (first, second)
        };
        let (new_path, old_path) = (format!("{DIR}/{new}"), format!("{DIR}/{old}"));
        if is_there(new)
            // Overwritten, it would keep its owner and mode, and a link would be followed.
            && let Err(error) = self.remove_key_file(instance, &new_path).await
        {
            return Err(self.why_not_written(instance, error).await);
        }
        let content: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let post = FilePost::root(0o644);
        let pushed = self
            .incus
            .push_file(instance, &new_path, &post, content.into_bytes());
        if let Err(error) = pushed.await {
            // The old list is whole; half of a new one beside it must not be in force.
            return Err(match self.remove_key_file(instance, &new_path).await {
                // It may yet be written, after it was removed.
                Ok(()) if matches!(error, Error::Timeout { .. }) => NotWritten::Unknown(error),
                Ok(()) => self.why_not_written(instance, error).await,
                Err(left) => {
                    tracing::warn!(instance, error = %left, "half a list of keys is left");
                    NotWritten::Unknown(error)
                }
            });
        }
        if is_there(old)
            && let Err(error) = self.remove_key_file(instance, &old_path).await
        {
            // Both are in force now. Back to the old one, which nobody was told is gone.
            return Err(match self.remove_key_file(instance, &new_path).await {
                Ok(()) => self.why_not_written(instance, error).await,
                Err(_) => NotWritten::Unknown(error),
            });
        }
        Ok(())
    }

    /// Notes the keys on the instance.
    pub(crate) async fn tag_login_keys(
        &self,
        instance: &str,
        keys: &[SshPublicKey],
    ) -> Result<(), Error> {
        let wanted = lines(keys);
        let patch = InstancePatch {
            config: BTreeMap::from([(TAG.to_owned(), wanted.clone())]),
            ..InstancePatch::default()
        };
        let Err(error) = self.incus.patch_instance(instance, &patch).await else {
            return Ok(());
        };
        // On a full disk Incus stores the key, fails to write its copy of the configuration there,
        // and says that all of it failed.
        let now = self.incus.instance(instance).await?.value;
        if now.config.get(TAG).map_or("", String::as_str) == wanted {
            tracing::warn!(instance, %error, "the keys are noted, although Incus says they are not");
            Ok(())
        } else {
            Err(error)
        }
    }

    async fn make_key_directory(&self, instance: &str) -> Result<(), Error> {
        let directory = FilePost {
            kind: FileKind::Directory,
            ..FilePost::root(0o755)
        };
        self.incus
            .push_file(instance, DIR, &directory, Vec::new())
            .await
    }

    async fn remove_key_file(&self, instance: &str, path: &str) -> Result<(), Error> {
        match self.incus.delete_file(instance, path).await {
            Err(Error::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    /// Incus says of a full disk and of a file in the way the same, so the disk is asked.
    async fn why_not_written(&self, instance: &str, error: Error) -> NotWritten {
        match &error {
            Error::NoSpace(_) => return NotWritten::NoSpace(error),
            Error::Unreachable { .. }
            | Error::Timeout { .. }
            | Error::Busy(_)
            | Error::Forbidden(_)
            | Error::InvalidName(_)
            | Error::LocalFile { .. } => return NotWritten::Failed(error),
            Error::NotFound(_)
            | Error::AlreadyExists(_)
            | Error::Precondition(_)
            | Error::Conflict(_)
            | Error::InUse(_)
            | Error::Running(_)
            | Error::Stopped(_)
            | Error::Frozen(_)
            | Error::ImageNotProvided(_)
            | Error::Refused { .. }
            | Error::OperationFailed(_)
            | Error::OperationVanished(_)
            // How Incus says that a large file did not fit.
            | Error::Protocol(_) => {}
        }
        let (own, pool) = tokio::join!(self.incus.instance_state(instance), self.space());
        let is_full = |usage: u64, total: u64| total > 0 && total.saturating_sub(usage) < LITTLE;
        let own = own.is_ok_and(|state| {
            let root = state.disk.get("root");
            root.is_some_and(|disk| is_full(disk.usage, disk.total))
        });
        if own || pool.is_ok_and(|space| is_full(space.used, space.total)) {
            return NotWritten::NoSpace(error);
        }
        match error {
            Error::Protocol(_) => NotWritten::Failed(error),
            other => NotWritten::InTheWay(other),
        }
    }
}

/// With less than this free a disk counts as full, bytes: btrfs hands out metadata by the megabyte.
const LITTLE: u64 = 16 << 20;

/// Whether the line that sshd goes by names both files: the first one that is no comment.
fn names_both(config: &str) -> bool {
    let mut lines = config.lines().map(str::split_whitespace);
    let found = lines.find_map(|mut words| {
        let first = words.next()?;
        first
            .eq_ignore_ascii_case("AuthorizedKeysFile")
            .then(|| words.collect::<Vec<_>>())
    });
    found.is_some_and(|words| {
        FILES
            .iter()
            .all(|file| words.contains(&format!("{DIR}/{file}").as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_our_image_has_names_both_and_what_a_tenant_makes_of_it_may_not() {
        let ours = include_str!("../../guest/prepare.sh");
        assert!(names_both(ours));
        for other in [
            "",
            "#AuthorizedKeysFile /etc/containarium/ssh_keys /etc/containarium/ssh_keys.2",
            "AuthorizedKeysFile .ssh/authorized_keys",
            "AuthorizedKeysFile /etc/containarium/ssh_keys",
            "AuthorizedKeysFile none\nAuthorizedKeysFile /etc/containarium/ssh_keys \
             /etc/containarium/ssh_keys.2",
        ] {
            assert!(!names_both(other), "{other}");
        }
        let spelt = "  authorizedkeysfile /etc/containarium/ssh_keys.2\t/etc/containarium/ssh_keys";
        assert!(names_both(spelt));
    }

    #[test]
    fn the_hint_proposes_the_line_that_is_looked_for() {
        use containarium_contract::{Face, Hint};
        let hint = Hint::ReadKeys("alice".parse().unwrap()).render(Face::Cli);
        let line = hint.split('`').nth(1).unwrap();
        assert!(names_both(line), "{line}");
    }
}
