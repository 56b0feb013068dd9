//! How a tunnel ends, and what is said then.

use std::io;

use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// How carrying came to its end.
#[derive(Debug)]
pub enum End {
    /// Both sides had finished writing, and everything has arrived.
    Finished,
    /// The other end said goodbye.
    Closed(Goodbye),
    /// Nothing was heard from the other end for too long.
    Silent,
    /// The other end went without a goodbye.
    Broken(String),
    /// The other end does not keep to what was agreed.
    Misused(&'static str),
    /// What the tunnel was carried from or to broke.
    Local(io::Error),
}

/// The last words of one end: a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// RFC 6455's code.
    pub code: u16,
    /// Words for a person; empty where all is well.
    pub reason: String,
}

/// A close frame holds so many bytes of words.
const LONGEST_REASON: usize = 123;

impl Goodbye {
    /// Both sides had finished.
    pub fn done() -> Self {
        Self::new(CloseCode::Normal, "")
    }

    /// What was there is going: the container, or the daemon.
    pub fn gone(why: &str) -> Self {
        Self::new(CloseCode::Away, why)
    }

    /// The caller may not any more.
    pub fn revoked(why: &str) -> Self {
        Self::new(CloseCode::Policy, why)
    }

    /// The connection to the container broke.
    pub fn broken(why: &str) -> Self {
        Self::new(CloseCode::Error, why)
    }

    /// The other end does not keep to what was agreed.
    pub fn misused(why: &str) -> Self {
        Self::new(CloseCode::Protocol, why)
    }

    /// Whether it is the end of a tunnel that did its work.
    pub fn is_done(&self) -> bool {
        self.code == u16::from(CloseCode::Normal)
    }

    fn new(code: CloseCode, reason: &str) -> Self {
        let mut reason = reason.to_owned();
        while reason.len() > LONGEST_REASON {
            reason.pop();
        }
        Self {
            code: code.into(),
            reason,
        }
    }

    pub(crate) fn frame(self) -> CloseFrame {
        CloseFrame {
            code: self.code.into(),
            reason: self.reason.into(),
        }
    }

    /// What the other end said; a close frame may be empty.
    pub(crate) fn said(frame: Option<CloseFrame>) -> Self {
        frame.map_or_else(Self::done, |frame| Self {
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_too_long_are_cut_between_characters() {
        let cut = Goodbye::gone(&"ä".repeat(100)).reason;
        assert_eq!(cut, "ä".repeat(61));
    }
}
