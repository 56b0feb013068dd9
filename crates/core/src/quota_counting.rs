//! That btrfs goes on counting what each container writes. When it deletes a subvolume whose tree is
//! higher than a threshold (3, which a container of some GB has), the kernel stops counting for the
//! whole file system until somebody asks for a rescan, and until then **no quota of any container
//! holds**. Raised above every possible height the threshold is never met; a deletion that large then
//! takes the kernel longer. It is forgotten at each mount, so it is raised again before each removal.
//! The kernel may stop all the same, such as where a quota is deleted before what it counted is gone;
//! then it is asked for a rescan, which takes as long as the file system is large. Quotas hold again
//! when that has ended.
//!
//! Of other drivers, or where the pool is not mounted here, nothing is known and nothing done.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
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

/// Returns the command that has the kernel count again and waits until it does.
pub(crate) fn count_again_command(mount: &Path) -> String {
    format!("btrfs quota rescan -w {}", mount.display())
}

/// Has the kernel count again, and waits until it does; also for a rescan that is under way.
pub(crate) fn count_again(mount: &Path) -> io::Result<()> {
    quota_rescan(Path::new("btrfs"), Some("-w"), mount).map(drop)
}

/// Runs `btrfs quota rescan` and returns what it prints, or an error with what it complains about.
fn quota_rescan(btrfs: &Path, option: Option<&str>, mount: &Path) -> io::Result<String> {
    let mut rescan = Command::new(btrfs);
    rescan.args(["quota", "rescan"]).args(option).arg(mount);
    // What it says is read.
    let done = rescan.env("LC_ALL", "C").output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(why.trim().to_owned()))
}

/// What became of a pool that had stopped counting, where that is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A rescan was started.
    Started,
    /// Somebody else's rescan is under way.
    UnderWay,
    /// The rescan has ended, and the kernel counts.
    Ended,
}

/// Looks after the rescans of one pool.
#[derive(Debug)]
pub(crate) struct Rescans {
    /// The program of btrfs-progs.
    btrfs: PathBuf,
    /// Whether the end of a rescan is waited for.
    awaited: AtomicBool,
}

impl Default for Rescans {
    fn default() -> Self {
        Self {
            btrfs: "btrfs".into(),
            awaited: AtomicBool::new(false),
        }
    }
}

impl Rescans {
    /// Returns whether there is anything to see to: the kernel does not count, or did not when it was
    /// last seen to.
    pub(crate) fn are_due(&self, counting: &QuotaCounting) -> bool {
        counting.is_lost() || self.awaited.load(Ordering::Relaxed)
    }

    /// Starts a rescan where the kernel has stopped counting, unless one is under way. Does not wait for
    /// its end, but the kernel may take a while to begin.
    pub(crate) fn see_to(&self, counting: &QuotaCounting) -> io::Result<Option<News>> {
        if !counting.is_lost() {
            let ended = self.awaited.swap(false, Ordering::Relaxed);
            return Ok(ended.then_some(News::Ended));
        }
        if self.is_under_way(&counting.mount)? {
            let known = self.awaited.swap(true, Ordering::Relaxed);
            return Ok((!known).then_some(News::UnderWay));
        }
        let news = match quota_rescan(&self.btrfs, None, &counting.mount) {
            Ok(_started) => News::Started,
            // Somebody was faster (EINPROGRESS).
            Err(error) if error.to_string().contains("in progress") => News::UnderWay,
            Err(error) => return Err(error),
        };
        self.awaited.store(true, Ordering::Relaxed);
        Ok(Some(news))
    }

    fn is_under_way(&self, mount: &Path) -> io::Result<bool> {
        let status = quota_rescan(&self.btrfs, Some("-s"), mount)?;
        Ok(status.contains("rescan operation running"))
    }
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

    /// A pool and a `btrfs` that do as the kernel does: a rescan runs from its start until
    /// [`Pool::ends`], and no other is started meanwhile.
    struct Pool {
        dir: tempfile::TempDir,
        counting: QuotaCounting,
        rescans: Rescans,
    }

    impl Pool {
        fn new() -> Self {
            use std::os::unix::fs::PermissionsExt as _;
            let dir = tempfile::tempdir().unwrap();
            let (state, btrfs) = (dir.path(), dir.path().join("btrfs"));
            let script = format!(
                "#!/bin/sh\n\
                 cd {} || exit 9\n\
                 echo \"$*\" >> asked\n\
                 case $3 in\n\
                 -s) if [ -e running ] && [ ! -e late ]\n\
                     then echo 'rescan operation running (current key 257)'\n\
                     else echo 'no rescan operation in progress'; fi ;;\n\
                 *)  [ ! -e broken ] || {{ echo 'ERROR: quota rescan failed: Input/output error' >&2; exit 1; }}\n\
                     [ ! -e running ] || {{ echo 'ERROR: quota rescan failed: Operation now in progress' >&2; exit 1; }}\n\
                     touch running; echo 'quota rescan started' ;;\n\
                 esac\n",
                state.display()
            );
            fs::write(&btrfs, script).unwrap();
            fs::set_permissions(&btrfs, fs::Permissions::from_mode(0o755)).unwrap();
            let counting = QuotaCounting {
                mount: state.join("pool"),
                sysfs: state.into(),
            };
            let rescans = Rescans {
                btrfs,
                ..Rescans::default()
            };
            let pool = Self {
                dir,
                counting,
                rescans,
            };
            pool.counts(false);
            pool
        }

        fn counts(&self, counts: bool) {
            self.write("inconsistent", if counts { "0\n" } else { "1\n" });
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn ends(&self) {
            fs::remove_file(self.dir.path().join("running")).unwrap();
            self.counts(true);
        }

        fn see_to(&self) -> io::Result<Option<News>> {
            self.rescans.see_to(&self.counting)
        }

        /// How often a rescan was asked for.
        fn asks(&self) -> usize {
            let asked = fs::read_to_string(self.dir.path().join("asked")).unwrap_or_default();
            asked.lines().filter(|line| !line.contains(" -s ")).count()
        }
    }

    #[test]
    fn a_rescan_is_asked_for_once_and_its_end_is_told_when_it_has_ended() {
        let pool = Pool::new();
        assert!(pool.rescans.are_due(&pool.counting));
        assert_eq!(pool.see_to().unwrap(), Some(News::Started));
        // The passes of the minutes that it takes.
        for _ in 0..3 {
            assert_eq!(pool.see_to().unwrap(), None);
        }
        assert_eq!(pool.asks(), 1);
        pool.ends();
        assert!(pool.rescans.are_due(&pool.counting));
        assert_eq!(pool.see_to().unwrap(), Some(News::Ended));
        assert!(!pool.rescans.are_due(&pool.counting));
        assert_eq!(pool.see_to().unwrap(), None);
        // It stops once more.
        pool.counts(false);
        assert_eq!(pool.see_to().unwrap(), Some(News::Started));
        assert_eq!(pool.asks(), 2);
    }

    #[test]
    fn a_rescan_that_was_cut_off_is_asked_for_again() {
        let pool = Pool::new();
        assert_eq!(pool.see_to().unwrap(), Some(News::Started));
        fs::remove_file(pool.dir.path().join("running")).unwrap();
        assert_eq!(pool.see_to().unwrap(), Some(News::Started));
    }

    #[test]
    fn somebody_elses_rescan_is_no_failure_and_told_once() {
        let pool = Pool::new();
        pool.write("running", "");
        assert_eq!(pool.see_to().unwrap(), Some(News::UnderWay));
        assert_eq!(pool.see_to().unwrap(), None);
        assert_eq!(pool.asks(), 0);
        pool.ends();
        assert_eq!(pool.see_to().unwrap(), Some(News::Ended));
        // Begun between the look at the status and our own.
        pool.counts(false);
        pool.write("running", "");
        pool.write("late", "");
        assert_eq!(pool.see_to().unwrap(), Some(News::UnderWay));
        assert_eq!(pool.asks(), 1);
    }

    #[test]
    fn what_btrfs_complains_about_is_told() {
        let pool = Pool::new();
        pool.write("broken", "");
        let error = pool.see_to().unwrap_err().to_string();
        assert_eq!(error, "ERROR: quota rescan failed: Input/output error");
    }
}
