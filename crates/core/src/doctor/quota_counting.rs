//! Whether the kernel still counts what containers write: where it has stopped, no quota holds.

use std::path::Path;

use super::{Finding, Repair};
use crate::{Installation, quota_counting::QuotaCounting};

const CHECK: &str = "quota-counting";

pub(super) fn examine(socket: &Path, here: &Installation) -> Option<Finding> {
    let counting = QuotaCounting::of(socket, &here.pool)?;
    let (lost, threshold) = (counting.is_lost(), counting.threshold());
    Some(judge(&counting, lost, threshold))
}

fn judge(counting: &QuotaCounting, lost: bool, threshold: Option<u8>) -> Finding {
    if lost {
        return Finding::problem(
            CHECK,
            "btrfs has stopped counting (qgroups/inconsistent is 1): until it is told to count \
             again, no container's disk quota holds",
        )
        .repair(Repair::Rescan {
            mount: counting.mount.clone(),
        });
    }
    match threshold {
        Some(height @ ..8) => Finding::warning(
            CHECK,
            format!(
                "btrfs counts, but would stop at the deletion of a container whose tree is {height} \
                 high or more, and then no quota holds; the daemon raises this before it deletes"
            ),
        )
        .run(counting.command()),
        Some(_) | None => Finding::ok(
            CHECK,
            "btrfs counts what containers write, and goes on when large ones are deleted",
        ),
    }
}
