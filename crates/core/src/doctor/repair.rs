//! What `--fix` does: kernel settings, file modes, btrfs's counting. Nothing is lost by any of it, and
//! none touches what is somebody else's: firewall rules, packages and disks are left to a person.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::quota_counting::{count_again, count_again_command};

/// Where our kernel settings are kept over a reboot; `scripts/install-engine` uses the same.
const SYSCTL_FILE: &str = "/etc/sysctl.d/60-containarium.conf";

/// A change that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Raises a setting of the kernel, now and at every boot.
    Sysctl {
        /// Such as `fs.inotify.max_user_instances`.
        key: &'static str,
        /// What it shall be.
        value: u64,
    },
    /// Takes permissions from a file or directory.
    Mode {
        /// Which.
        path: PathBuf,
        /// What shall be left.
        mode: u32,
    },
    /// Makes btrfs count anew what every container uses.
    Rescan {
        /// Where it is mounted.
        mount: PathBuf,
    },
}

/// What became of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    /// The check it was for.
    pub check: &'static str,
    /// What was done, as commands.
    pub ran: Vec<String>,
    /// Why it did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Repair {
    /// The same by hand.
    pub(super) fn commands(&self) -> Vec<String> {
        match self {
            Self::Sysctl { key, value } => vec![
                format!("sysctl -w {key}={value}"),
                format!("echo {key}={value} >> {SYSCTL_FILE}"),
            ],
            Self::Mode { path, mode } => vec![format!("chmod {mode:04o} {}", path.display())],
            Self::Rescan { mount } => vec![count_again_command(mount)],
        }
    }

    fn apply(&self) -> io::Result<()> {
        match self {
            Self::Sysctl { key, value } => {
                let file = Path::new("/proc/sys").join(key.replace('.', "/"));
                fs::write(file, value.to_string())?;
                keep(Path::new(SYSCTL_FILE), key, *value)
            }
            Self::Mode { path, mode } => {
                match fs::set_permissions(path, fs::Permissions::from_mode(*mode)) {
                    // A store's log goes with whoever used it last: gone is as good.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                    done => done,
                }
            }
            Self::Rescan { mount } => count_again(mount),
        }
    }
}

/// Does the repairs of a finding, in order.
pub fn repair(finding: &super::Finding) -> Vec<Repaired> {
    let done = |repair: &Repair| Repaired {
        check: finding.check,
        ran: repair.commands(),
        error: repair.apply().err().map(|e| e.to_string()),
    };
    finding.repairs.iter().map(done).collect()
}

/// Writes a setting down for the next boot; other lines stay.
fn keep(file: &Path, key: &str, value: u64) -> io::Result<()> {
    let old = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    let other = |line: &&str| line.split('=').next().is_none_or(|name| name.trim() != key);
    let mut lines: Vec<String> = old.lines().filter(other).map(str::to_owned).collect();
    lines.push(format!("{key}={value}"));
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(file, lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Finding;

    #[test]
    fn a_setting_is_kept_once_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sysctl.d/60.conf");
        keep(&file, "a.b", 1).unwrap();
        keep(&file, "a.c", 5).unwrap();
        keep(&file, "a.b", 2).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a.c=5\na.b=2\n");
    }

    #[test]
    fn a_repair_says_what_it_did_and_what_it_could_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt.secret");
        fs::write(&path, "s").unwrap();
        let mode = |path: PathBuf| Repair::Mode { path, mode: 0o600 };
        let finding = Finding::problem("modes", "x")
            .repair(mode(path.clone()))
            .repair(mode(dir.path().join("gone")))
            .repair(mode(path.join("no-directory")));
        let done = repair(&finding);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(done[0].ran, [format!("chmod 0600 {}", path.display())]);
        assert_eq!(done[0].error, None);
        assert_eq!(done[1].error, None);
        assert!(done[2].error.as_ref().unwrap().contains("Not a directory"));
        assert_eq!(finding.commands.len(), 3);
    }
}
