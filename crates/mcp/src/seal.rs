//! The key of what goes to a client and must come back as it was. It is made at random when the
//! program starts and never leaves it, so what was sealed before a restart is refused after it.

use rmcp::model::RequestStateCodec;

/// A codec with a key of its own.
///
/// # Panics
///
/// The system has no random numbers, with which nothing could be sealed.
pub(crate) fn fresh() -> RequestStateCodec {
    let mut key = vec![0; RequestStateCodec::MIN_KEY_LENGTH];
    aws_lc_rs::rand::fill(&mut key).expect("the system has random numbers");
    RequestStateCodec::new_unchecked(key)
}
