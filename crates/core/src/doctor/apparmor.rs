//! AppArmor: a second wall round containers; and the one that stops Docker inside them with a newer runc
//! and an older Incus, which the Docker probe tries (lxc/incus#2623).

use super::{Finding, line_of};

const CHECK: &str = "apparmor";

pub(super) fn examine() -> Finding {
    let enabled = line_of("/sys/module/apparmor/parameters/enabled");
    let parser = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"]
        .iter()
        .any(|path| std::path::Path::new(path).exists());
    let selinux = std::path::Path::new("/sys/fs/selinux/enforce").exists();
    judge(enabled.as_deref().ok(), parser, selinux)
}

fn judge(enabled: Option<&str>, parser: bool, selinux: bool) -> Finding {
    match (enabled, parser) {
        (Some("Y"), true) => Finding::ok(
            CHECK,
            "on: containers are confined; whether Docker inside gets along with it is tried by \
             the probe `docker`",
        ),
        (Some("Y"), false) => Finding::warning(
            CHECK,
            "on in the kernel, but there is no apparmor_parser: Incus cannot load its profiles",
        )
        .run("apt-get install -y apparmor")
        .run("systemctl restart incus"),
        (Some(_) | None, _) if selinux => Finding::ok(CHECK, "this host has SELinux instead"),
        (Some(_), _) => Finding::warning(
            CHECK,
            "off in this kernel: containers have one wall less (user namespaces and seccomp hold)",
        )
        .run("sed -i 's/^GRUB_CMDLINE_LINUX=\"/&apparmor=1 security=apparmor /' /etc/default/grub && update-grub  # then reboot"),
        (None, _) => Finding::warning(
            CHECK,
            "not in this kernel: containers have one wall less (user namespaces and seccomp hold)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_missing_wall_is_a_warning() {
        assert_eq!(judge(Some("Y"), true, false).verdict, Verdict::Ok);
        assert_eq!(judge(Some("Y"), false, false).verdict, Verdict::Warning);
        assert_eq!(judge(Some("N"), true, false).verdict, Verdict::Warning);
        assert_eq!(judge(None, false, false).verdict, Verdict::Warning);
        assert_eq!(judge(None, false, true).verdict, Verdict::Ok);
    }
}
