//! The key that seals what goes to a client and must come back unchanged.
//!
//! The key is random, is made the first time it is needed, and never leaves the program. What was sealed
//! before a restart is therefore refused after it.

use std::sync::OnceLock;

use rmcp::model::RequestStateCodec;

/// A codec with a key of its own, which is made at its first use.
///
/// The first random numbers of a process are dear: aws-lc collects entropy for them, which takes twenty
/// times as many instructions as all else that `mcp-server` does before its first answer. Few sessions
/// seal anything.
#[derive(Default)]
pub(crate) struct Seal(OnceLock<RequestStateCodec>);

impl Seal {
    /// Returns the codec; the first call makes its key.
    ///
    /// # Panics
    ///
    /// The system has no random numbers, without which nothing can be sealed.
    pub(crate) fn codec(&self) -> &RequestStateCodec {
        self.0.get_or_init(|| {
            let mut key = vec![0; RequestStateCodec::MIN_KEY_LENGTH];
            aws_lc_rs::rand::fill(&mut key).expect("the system has random numbers");
            RequestStateCodec::new_unchecked(key)
        })
    }

    /// Says whether the key is made.
    #[cfg(test)]
    pub(crate) fn has_key(&self) -> bool {
        self.0.get().is_some()
    }
}
