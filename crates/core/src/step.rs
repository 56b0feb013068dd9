//! The steps that operations are made of, and the points at which a test ends the daemon.

use containarium_contract::OperationKind;
use serde::{Deserialize, Serialize};

/// A step of an operation: check, do, record. Safe to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The name, an address and user ids are held.
    Reserve,
    /// A standby becomes its user's.
    Claim,
    /// The engine makes the instance and starts it.
    Make,
    /// The engine starts the instance.
    Start,
    /// The container boots until its SSH banner says that a login would work.
    Boot,
    /// The instance is stopped.
    Stop,
    /// The instance is marked as deleted and kept.
    Keep,
    /// The instance, or image, is removed.
    Remove,
    /// The deleted, or unclaimed, containers have their names again.
    Restore,
    /// Keys are written into the container.
    Write,
    /// The image is prepared.
    Prepare,
    /// All of it is there for its users.
    Commit,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 12] = [
        Self::Reserve,
        Self::Claim,
        Self::Make,
        Self::Start,
        Self::Boot,
        Self::Stop,
        Self::Keep,
        Self::Remove,
        Self::Restore,
        Self::Write,
        Self::Prepare,
        Self::Commit,
    ];

    /// Its name, in answers, logs and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Claim => "claim",
            Self::Make => "make",
            Self::Start => "start",
            Self::Boot => "boot",
            Self::Stop => "stop",
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Restore => "restore",
            Self::Write => "write",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
        }
    }

    /// The steps that an operation of this kind may have.
    pub fn of(kind: OperationKind) -> &'static [Self] {
        match kind {
            OperationKind::Create => &[
                Self::Reserve,
                Self::Claim,
                Self::Make,
                Self::Boot,
                Self::Commit,
            ],
            OperationKind::Delete => &[Self::Stop, Self::Keep, Self::Remove, Self::Commit],
            OperationKind::Undelete => &[Self::Restore, Self::Start, Self::Boot, Self::Commit],
            OperationKind::Purge | OperationKind::DeleteImage | OperationKind::PurgeUnclaimed => {
                &[Self::Remove, Self::Commit]
            }
            OperationKind::Start => &[Self::Start, Self::Boot, Self::Commit],
            OperationKind::Stop => &[Self::Stop, Self::Commit],
            OperationKind::AddSshKey | OperationKind::RemoveSshKey => &[Self::Write, Self::Commit],
            OperationKind::PrepareImage => &[Self::Prepare, Self::Commit],
            OperationKind::Adopt => &[Self::Restore, Self::Commit],
        }
    }
}

/// Where in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it is done.
    Before,
    /// It is done and not recorded.
    Done,
    /// It is recorded.
    Recorded,
}

impl Moment {
    /// Every moment.
    pub const ALL: [Self; 3] = [Self::Before, Self::Done, Self::Recorded];

    fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Done => "done",
            Self::Recorded => "recorded",
        }
    }
}

/// The variable that names the point at which a daemon built for tests kills itself.
pub const KILL_VARIABLE: &str = "CONTAINARIUM_TEST_KILL_AT";

/// Every point at which a daemon can be killed, such as `create.make.done`.
pub fn kill_points() -> Vec<String> {
    let mut all = Vec::new();
    for kind in OperationKind::ALL {
        for step in Step::of(kind) {
            for moment in Moment::ALL {
                all.push(point(kind, *step, moment));
            }
        }
    }
    all
}

fn point(kind: OperationKind, step: Step, moment: Moment) -> String {
    format!("{}.{}.{}", kind.as_str(), step.as_str(), moment.as_str())
}

/// Ends this process as a power cut would, if a test asked for it here.
#[cfg(feature = "kill-points")]
pub(crate) fn passing(kind: OperationKind, step: Step, moment: Moment) {
    let asked = std::env::var(KILL_VARIABLE);
    if asked.is_ok_and(|asked| asked == point(kind, step, moment)) {
        let killed =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        tracing::error!(?killed, "this process was to end here");
    }
}

/// Nothing: this program was not built for tests.
#[cfg(not(feature = "kill-points"))]
pub(crate) fn passing(_: OperationKind, _: Step, _: Moment) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_belongs_to_an_operation_and_has_its_points() {
        let points = kill_points();
        for step in Step::ALL {
            let name = format!(".{}.", step.as_str());
            let found = points.iter().filter(|point| point.contains(&name)).count();
            assert!(found >= 3 && found % 3 == 0, "{name}: {found}");
        }
    }
}
