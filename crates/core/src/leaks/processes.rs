//! Processes of this host that work for an instance: where it is gone, they are left behind. Only
//! those that Incus starts for one by its name, and only of the Incus whose directory is given.

use std::{fs, path::Path};

/// A process that works for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pub(super) pid: u32,
    /// The instance.
    pub(super) instance: String,
    /// Its command line.
    pub(super) command: String,
}

/// All that work for instances of this project, of the Incus whose socket this is. What ends
/// meanwhile is none.
pub(super) fn of(socket: &Path, project: &str) -> Vec<Worker> {
    // The directory of Incus is that of its socket; two on one host may have projects of one name.
    let Some(dir) = socket.parent().and_then(Path::to_str) else {
        return Vec::new();
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let workers = all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        let command = command.replace('\0', " ").trim_end().to_owned();
        let instance = instance_of(&command, dir, project)?.to_owned();
        Some(Worker {
            pid,
            instance,
            command,
        })
    });
    workers.collect()
}

/// The instance for which this command works: LXC's monitor, what unpacks an image, and what Incus
/// starts of itself. Anybody may have the path of one in his command.
fn instance_of<'c>(command: &'c str, dir: &str, project: &str) -> Option<&'c str> {
    let program = command.split(' ').next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let theirs = command.starts_with("[lxc monitor] ")
        || program == "unsquashfs"
        || (program == "incusd" && command.split(' ').nth(1)?.starts_with("fork"));
    if !theirs || !command.contains(&format!("{dir}/")) {
        return None;
    }
    let mut words = command.split([' ', '/']);
    words.find_map(|word| {
        let instance = word.strip_prefix(project)?.strip_prefix('_')?;
        (!instance.is_empty()).then_some(instance)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_for_an_instance_is_told_by_its_command() {
        let of = |command| instance_of(command, "/var/lib/incus", "box");
        for (command, instance) in [
            (
                "[lxc monitor] /var/lib/incus/containers box_c-01k",
                Some("c-01k"),
            ),
            (
                "unsquashfs -f -d /var/lib/incus/storage-pools/box/containers/box_c-01k/rootfs \
                 /var/lib/incus/images/51ab.rootfs",
                Some("c-01k"),
            ),
            (
                "/opt/incus/bin/incusd forkstart box_c-01k /var/lib/incus/containers /var/log/x.conf",
                Some("c-01k"),
            ),
            // Another project's, another Incus's, an image's, and somebody who looks around.
            ("[lxc monitor] /var/lib/incus/containers inbox_c-01k", None),
            ("[lxc monitor] /var/lib/incus/containers c-01k", None),
            ("[lxc monitor] /srv/incus/containers box_c-01k", None),
            (
                "unsquashfs -d /var/lib/incus/storage-pools/box/images/51ab/rootfs /x",
                None,
            ),
            ("du -sh /var/lib/incus/containers/box_c-01k/rootfs", None),
            ("incusd --group incus-admin", None),
            ("", None),
        ] {
            assert_eq!(of(command), instance, "{command}");
        }
    }
}
