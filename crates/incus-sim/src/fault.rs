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
    /// Making or overwriting a file in an instance.
    PutFile,
    /// Removing a file from an instance.
    DeleteFile,
    /// Waiting for an operation.
    Wait,
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
