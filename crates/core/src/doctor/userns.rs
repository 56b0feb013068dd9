//! User namespaces: what makes root of a container nobody on the host; and whether users can make them
//! inside, which Docker without root and browsers' sandboxes want.

use super::{Finding, Repair, line_of};

const CHECK: &str = "user-namespaces";

pub(super) fn examine() -> Finding {
    let most = line_of("/proc/sys/user/max_user_namespaces");
    let debian = line_of("/proc/sys/kernel/unprivileged_userns_clone");
    let ubuntu = line_of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    judge(
        most.as_deref(),
        debian.as_deref().ok(),
        ubuntu.as_deref().ok(),
    )
}

fn judge(most: Result<&str, &String>, debian: Option<&str>, ubuntu: Option<&str>) -> Finding {
    let most = match most {
        Ok(most) => most,
        Err(why) => {
            return Finding::problem(
                CHECK,
                format!(
                    "this kernel has no user namespaces ({why}): there are no unprivileged containers without"
                ),
            );
        }
    };
    if most == "0" {
        return Finding::problem(
            CHECK,
            "user.max_user_namespaces = 0: no unprivileged container can start",
        )
        .repair(Repair::Sysctl {
            key: "user.max_user_namespaces",
            value: 65_536,
        });
    }
    let inside = match (debian, ubuntu) {
        (Some("0"), _) => "kernel.unprivileged_userns_clone = 0",
        (_, Some("1")) => "kernel.apparmor_restrict_unprivileged_userns = 1",
        (Some(_) | None, Some(_) | None) => {
            return Finding::ok(CHECK, format!("user.max_user_namespaces = {most}"));
        }
    };
    Finding::ok(
        CHECK,
        format!(
            "user.max_user_namespaces = {most}; {inside}: containers and Docker in them work, but \
             Docker without root and browsers' sandboxes may not"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn none_allowed_is_a_problem_and_a_hardened_host_is_not() {
        assert_eq!(judge(Ok("0"), None, None).verdict, Verdict::Problem);
        let missing = "no such file".to_owned();
        assert_eq!(judge(Err(&missing), None, None).verdict, Verdict::Problem);
        assert_eq!(judge(Ok("63000"), None, None).verdict, Verdict::Ok);
        let hardened = judge(Ok("63000"), None, Some("1"));
        assert_eq!(hardened.verdict, Verdict::Ok);
        assert!(hardened.found.contains("sandboxes"), "{}", hardened.found);
    }
}
