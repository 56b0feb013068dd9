//! Incus's status codes, of instances and operations alike. Not HTTP's.

use serde::{Deserialize, Serialize};

/// A number of Incus's that says where an instance or an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// The instance is stopped.
    pub const STOPPED: Self = Self(102);
    /// The instance or operation runs.
    pub const RUNNING: Self = Self(103);
    /// The operation has not begun.
    pub const PENDING: Self = Self(105);
    /// The instance's processes are frozen.
    pub const FROZEN: Self = Self(110);
    /// The instance is broken: Incus cannot tell its state.
    pub const ERROR: Self = Self(112);
    /// The instance runs and its guest has said that it is ready.
    pub const READY: Self = Self(113);
    /// The operation succeeded.
    pub const SUCCESS: Self = Self(200);
    /// The operation failed.
    pub const FAILURE: Self = Self(400);
    /// The operation was cancelled.
    pub const CANCELLED: Self = Self(401);

    /// The instance runs, whether or not its guest has said that it is ready.
    pub fn is_running(self) -> bool {
        self == Self::RUNNING || self == Self::READY
    }

    /// The instance is stopped.
    pub fn is_stopped(self) -> bool {
        self == Self::STOPPED
    }

    /// The instance's processes are frozen.
    pub fn is_frozen(self) -> bool {
        self == Self::FROZEN
    }

    /// The operation has ended well.
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// The operation has ended, well or not.
    pub fn is_final(self) -> bool {
        self.0 >= Self::SUCCESS.0
    }
}
