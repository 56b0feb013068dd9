//! Control groups: version 2, or an older layout in which some limits of a running container do not
//! change.

use std::path::Path;

use super::Finding;

const CHECK: &str = "cgroups";

pub(super) fn examine() -> Finding {
    let at = |name: &str| Path::new("/sys/fs/cgroup").join(name).exists();
    judge(
        at("cgroup.controllers"),
        at("unified"),
        at("memory"),
        Path::new("/run/systemd/system").exists(),
    )
}

fn judge(v2: bool, unified: bool, memory: bool, systemd: bool) -> Finding {
    if v2 {
        return Finding::ok(CHECK, "version 2");
    }
    if !memory {
        return Finding::problem(
            CHECK,
            "/sys/fs/cgroup has no memory controller: a container's memory has no limit",
        );
    }
    let which = if unified {
        "version 1 (hybrid)"
    } else {
        "version 1"
    };
    let finding = Finding::warning(
        CHECK,
        format!(
            "{which}: limits hold, but a running container may not notice that its processors \
             were changed, and the peak of its memory is not told"
        ),
    );
    if systemd {
        finding.run(
            "grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1 || \
             sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' \
             /etc/default/grub && update-grub  # then reboot",
        )
    } else {
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn each_layout_is_told_with_what_it_costs() {
        assert_eq!(judge(true, false, false, true).verdict, Verdict::Ok);
        assert_eq!(judge(false, true, true, false).verdict, Verdict::Warning);
        assert!(judge(false, true, true, true).commands[0].contains("reboot"));
        assert_eq!(judge(false, false, false, true).verdict, Verdict::Problem);
    }
}
