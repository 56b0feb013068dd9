//! What a crash of incusd in the middle of a create leaves, as seen on 6.0.4 with btrfs, and what Incus then
//! says of it.

use std::path::{Path, PathBuf};

use crate::answer::Refusal;
use crate::instance::Instance;

/// How far a create had come when incusd was killed. In each case the instance is listed as stopped, with
/// its configuration; it can be deleted, and cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was on record and had no volume yet.
    Record,
    /// Its volume was on record, too, and nothing of it on the disk. **A start** puts an empty directory there,
    /// and then no request deletes the instance until somebody removes that directory on the host; here it
    /// is below the socket's directory.
    Nothing,
    /// A part of its files is there. For a first delete that fails there is
    /// [`Fault::not_empty`](crate::Fault::not_empty).
    Part,
}

impl Left {
    /// Why a start fails, for the most with code 404, though the instance is there.
    pub(crate) fn not_started(self, at: &Path, instance: &Instance) -> Refusal {
        let path = directory(at, instance);
        match self {
            Left::Record => Refusal::new(
                404,
                "Failed getting instance pool: Instance storage pool not found",
            ),
            Left::Nothing => {
                // One that cannot be made is not in the way.
                let _made = std::fs::create_dir_all(&path);
                let text = format!(
                    "Failed to handle idmapped storage: Failed expanding symlinks of \"\": lstat {}: no such \
                     file or directory",
                    path.display()
                );
                Refusal::new(404, text)
            }
            Left::Part => Refusal::new(
                500,
                "Failed to handle idmapped storage: Failed to change ACLs",
            ),
        }
    }

    /// Why a delete fails, if it does.
    pub(crate) fn not_deleted(self, at: &Path, instance: &Instance) -> Result<(), Refusal> {
        let path = directory(at, instance);
        if self != Left::Nothing || !path.exists() {
            return Ok(());
        }
        let path = path.display();
        Err(Refusal::new(
            500,
            format!(
                "Error deleting storage volume: Failed deleting subvolume \"{path}\": Failed to run: btrfs \
                 subvolume delete {path}: exit status 1 (ERROR: Not a Btrfs subvolume: Invalid argument)"
            ),
        ))
    }
}

fn directory(at: &Path, instance: &Instance) -> PathBuf {
    let volume = match instance.project.as_str() {
        "default" => instance.name.clone(),
        project => format!("{project}_{}", instance.name),
    };
    let pool = instance.pool().unwrap_or("none");
    at.join("storage-pools")
        .join(pool)
        .join("containers")
        .join(volume)
}
