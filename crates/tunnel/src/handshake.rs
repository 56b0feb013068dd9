//! The two texts of RFC 6455's handshake that prove that the other end speaks WebSocket.

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// RFC 6455, 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A fresh `Sec-WebSocket-Key`.
pub fn new_key() -> String {
    let mut bytes = [0; 16];
    // It is no secret: only a cache would be fooled by a key it has seen before.
    let _drawn = rand::fill(&mut bytes);
    STANDARD.encode(bytes)
}

/// The `Sec-WebSocket-Accept` that answers `key`.
pub fn accept_of(key: &str) -> String {
    let text = format!("{}{MAGIC}", key.trim());
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(sha1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let accept = accept_of("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_24_characters_and_fresh() {
        assert_eq!(new_key().len(), 24);
        assert_ne!(new_key(), new_key());
    }
}
