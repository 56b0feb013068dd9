//! That btrfs goes on counting what each container writes. When it deletes a subvolume whose tree is
//! higher than a threshold (3, which a container of some GB has), the kernel stops counting for the
//! whole file system until somebody asks for a rescan, and until then **no quota of any container
//! holds**. Raised above every possible height the threshold is never met; a deletion that large then
//! takes the kernel longer. It is forgotten at each mount, so it is raised again before each removal.
//! The kernel may stop all the same, such as where a quota is deleted before what it counted is gone;
//! then it is asked to count again.
//!
//! Of other drivers, or where the pool is not mounted here, nothing is known and nothing done.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Higher than any tree of btrfs (`BTRFS_MAX_LEVEL`).
const NEVER: u8 = 8;

/// The quotas of one mounted btrfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuotaCounting {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Its `qgroups` in sysfs.
    sysfs: PathBuf,
}

impl QuotaCounting {
    /// Of the pool of the Incus behind `socket`, if it is a btrfs with quotas on this machine.
    pub(crate) fn of(socket: &Path, pool: &str) -> Option<Self> {
        let mount = socket.with_file_name("storage-pools").join(pool);
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let device = device(&mounts, &mount)?;
        let file_systems = fs::read_dir("/sys/fs/btrfs").ok()?;
        let sysfs = file_systems
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("devices").join(&device).exists())?
            .join("qgroups");
        sysfs.exists().then_some(Self { mount, sysfs })
    }

    /// The height of a deleted tree at which the kernel would stop counting.
    pub(crate) fn threshold(&self) -> Option<u8> {
        self.read("drop_subtree_threshold")
    }

    /// Whether the kernel has stopped counting.
    pub(crate) fn is_lost(&self) -> bool {
        self.read("inconsistent") == Some(1)
    }

    /// Sees to it that a deletion does not stop it.
    pub(crate) fn keep(&self) -> io::Result<()> {
        match self.threshold() {
            // A kernel before 6.1 has no threshold, and always counts.
            None | Some(NEVER..) => Ok(()),
            Some(_) => fs::write(self.file("drop_subtree_threshold"), NEVER.to_string()),
        }
    }

    /// By hand, what [`Self::keep`] does.
    pub(crate) fn command(&self) -> String {
        format!(
            "echo {NEVER} > {}",
            self.file("drop_subtree_threshold").display()
        )
    }

    fn read(&self, name: &str) -> Option<u8> {
        fs::read_to_string(self.file(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sysfs.join(name)
    }
}

/// How [`count_again`] is done by hand.
pub(crate) fn count_again_command(mount: &Path) -> String {
    format!("btrfs quota rescan -w {}", mount.display())
}

/// Has the kernel count what is there anew, and go on; waits until it has, where that is wanted.
pub(crate) fn count_again(mount: &Path, wait: bool) -> io::Result<()> {
    let mut rescan = Command::new("btrfs");
    rescan.args(["quota", "rescan"]).args(wait.then_some("-w"));
    let done = rescan.arg(mount).output()?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(why.trim().to_owned()))
}

/// The name of the device that is mounted as btrfs at `mount`.
fn device(mounts: &str, mount: &Path) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (source, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let device = Path::new(source).file_name()?.to_str()?;
        (Path::new(place) == mount && kind == "btrfs").then(|| device.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_of_a_pool_is_found_by_its_mount() {
        let mounts = "/dev/vda / ext4 rw 0 0\n\
            /dev/loop2 /var/lib/incus/storage-pools/other btrfs rw 0 0\n\
            /dev/loop3 /var/lib/incus/storage-pools/box btrfs rw,subvolid=5 0 0\n\
            tmpfs /var/lib/incus/storage-pools/mem tmpfs rw 0 0\n";
        let of = |pool| {
            let mount = Path::new("/var/lib/incus/storage-pools").join(pool);
            device(mounts, &mount)
        };
        assert_eq!(of("box").as_deref(), Some("loop3"));
        assert_eq!(of("mem"), None);
        assert_eq!(of("none"), None);
    }

    #[test]
    fn the_threshold_is_raised_once_and_a_loss_is_seen() {
        let sysfs = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &str| fs::write(sysfs.path().join(name), value).unwrap();
        let counting = QuotaCounting {
            mount: "/pool".into(),
            sysfs: sysfs.path().into(),
        };
        counting.keep().unwrap();
        assert_eq!(
            counting.threshold(),
            None,
            "an old kernel has none to raise"
        );
        write("drop_subtree_threshold", "3\n");
        write("inconsistent", "0\n");
        counting.keep().unwrap();
        assert_eq!(counting.threshold(), Some(8));
        assert!(!counting.is_lost());
        write("inconsistent", "1\n");
        assert!(counting.is_lost());
    }
}
