//! One preparation at a time, also of a daemon and an `init` beside it: builders share one address,
//! and whoever begins removes the builders that he finds.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::ImageError;

/// The file in the state directory that whoever prepares has locked.
const LOCK: &str = "images.lock";

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    file: PathBuf,
    here: Arc<Mutex<()>>,
}

/// Ends when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _here: OwnedMutexGuard<()>,
    _file: File,
}

impl Turn {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            file: state_dir.join(LOCK),
            here: Arc::default(),
        }
    }

    /// Waits for the turn.
    pub(crate) async fn take(&self) -> Result<Taken, ImageError> {
        let here = Arc::clone(&self.here).lock_owned().await;
        let file = self.open()?;
        let (done, locked) = oneshot::channel();
        // A thread of its own, because nothing can call it back: where nobody waits any more it
        // must not keep the process from ending, as one of the runtime's would.
        std::thread::spawn(move || {
            let result = flock(&file, FlockOperation::LockExclusive).map(|()| file);
            // Whoever asked may have gone; the file closes then.
            let _gone = done.send(result);
        });
        match locked.await {
            Ok(Ok(file)) => Ok(Taken {
                _here: here,
                _file: file,
            }),
            Ok(Err(e)) => Err(self.failed(e.into())),
            Err(_ended) => Err(self.failed(std::io::ErrorKind::Interrupted.into())),
        }
    }

    /// Takes the turn if nobody has it.
    pub(crate) fn try_take(&self) -> Result<Option<Taken>, ImageError> {
        let Ok(here) = Arc::clone(&self.here).try_lock_owned() else {
            return Ok(None);
        };
        let file = self.open()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Taken {
                _here: here,
                _file: file,
            })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(self.failed(e.into())),
        }
    }

    fn open(&self) -> Result<File, ImageError> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.file)
            .map_err(|e| self.failed(e))
    }

    fn failed(&self, source: std::io::Error) -> ImageError {
        ImageError::Host {
            what: self.file.display().to_string(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_holds_off_this_process_and_others() {
        let dir = tempfile::tempdir().unwrap();
        // Of two processes nothing but the file is common.
        let (one, other) = (Turn::new(dir.path()), Turn::new(dir.path()));
        let taken = one.take().await.unwrap();
        assert!(one.try_take().unwrap().is_none());
        assert!(other.try_take().unwrap().is_none());
        let waiting = tokio::spawn(async move { other.take().await.map(drop) });
        drop(taken);
        waiting.await.unwrap().unwrap();
        assert!(one.try_take().unwrap().is_some());
    }
}
