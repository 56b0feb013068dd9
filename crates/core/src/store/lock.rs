//! One daemon per state directory. The lock is the kernel's, so it ends with the process, however
//! that ends; the file only says who has it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::StoreError;

/// The file that is locked. It stays when the daemon ends: whoever removed it could have two.
const FILE: &str = "daemon.lock";

/// The right to be the daemon of a state directory, for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, or says at once who has it. The directory must be there; it is not made.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory {
            path: dir.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(FILE))
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // One that has just begun has not written its number yet.
                let _unread = file.read_to_string(&mut text);
                return Err(StoreError::InUse {
                    path: dir.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(other) => return Err(failed(other.into())),
        }
        // For people. A full disk, which must not keep a daemon from serving reads, leaves it out.
        let _unwritten = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }

    /// Whether a daemon has this state directory now. Takes nothing.
    pub(crate) fn is_held(dir: &Path) -> bool {
        File::open(dir.join(FILE)).is_ok_and(|file| {
            let free = flock(&file, FlockOperation::NonBlockingLockShared);
            matches!(free, Err(Errno::WOULDBLOCK))
        })
    }
}

/// Whether a daemon had this state directory once.
pub(super) fn was_taken(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_daemon_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Lock::is_held(dir.path()), "nobody was here yet");
        let first = Lock::take(dir.path()).unwrap();
        assert!(Lock::is_held(dir.path()));
        let refused = Lock::take(dir.path()).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(&dir.path().display().to_string()), "{told}");
        let pid = format!("pid {}", std::process::id());
        assert!(told.contains(&pid), "{told}");
        drop(first);
        assert!(!Lock::is_held(dir.path()));
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Lock::take(&dir.path().join("state")).unwrap_err();
        assert!(matches!(refused, StoreError::Directory { .. }), "{refused}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_another_wrote_into_the_file_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "1234567\n").unwrap();
        let _lock = Lock::take(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
