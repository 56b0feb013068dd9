//! Faults on request: what a test may ask to go wrong, once.

/// Which request a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Any GET but a wait.
    Read,
    /// Making an instance.
    Create,
    /// Changing an instance's configuration.
    Patch,
    /// Starting, stopping, restarting, freezing, unfreezing.
    ChangeState,
    /// Deleting an instance.
    Delete,
    /// Running a command in an instance.
    Exec,
    /// Making or overwriting a file in an instance.
    PutFile,
    /// Removing a file from an instance.
    DeleteFile,
    /// Waiting for an operation.
    Wait,
    /// Listing operations.
    Operations,
    /// Making a snapshot.
    Snapshot,
    /// Anything else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request is refused at once and has no effect.
    Refuse {
        /// `error_code`.
        code: u16,
        /// The sentence.
        text: String,
    },
    /// The request is accepted, and its operation fails without effect.
    FailLate {
        /// `error_code` of the wait.
        code: u16,
        /// The sentence.
        text: String,
    },
    /// The instance is made, but its start fails: it stays, stopped.
    FailStart {
        /// `error_code` of the wait.
        code: u16,
        /// The sentence.
        text: String,
    },
    /// The start succeeds, but init dies at once, with this on the console.
    DieAfterStart {
        /// What init wrote.
        console: String,
    },
    /// The request takes effect, and its answer comes when the operation that it names has ended:
    /// whoever listens hears of all before.
    AnswerLast,
    /// The request takes effect, and its answer breaks off in the middle.
    CutAnswer,
}

impl Fault {
    /// A create that finds no room, in btrfs's words; to fill the pools for longer there is
    /// [`Sim::fill`](crate::Sim::fill).
    pub fn no_space() -> Self {
        Fault::FailLate {
            code: 500,
            text: NO_SPACE.to_owned(),
        }
    }

    /// What the first delete of a half-made instance may meet: the unpacker of the incusd that was
    /// killed still writes.
    pub fn not_empty() -> Self {
        Fault::FailLate {
            code: 500,
            text: "Error deleting storage volume: Failed to remove \"/containers/a1/rootfs\": \
                   directory not empty"
                .to_owned(),
        }
    }
}

pub(crate) const NO_SPACE: &str =
    "write /var/lib/incus/containers/a1/backup.yaml: no space left on device";
