//! Protocol messages on stderr for whoever looks for a fault, without the secrets in them.

use containarium_client::Token;

use crate::secrets;

/// Writes protocol messages to stderr, masked.
#[derive(Clone, Debug)]
pub struct DebugLog {
    token: Token,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

impl DebugLog {
    /// A log that never shows `token`.
    pub fn new(token: Token) -> Self {
        Self { token }
    }

    pub(crate) fn message(&self, direction: Direction, line: &str) {
        let arrow = match direction {
            Direction::In => "-->",
            Direction::Out => "<--",
        };
        eprintln!("{arrow} {}", self.masked(line.trim_end()));
    }

    fn masked(&self, line: &str) -> String {
        secrets::mask(&self.token.mask(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_and_whatever_looks_like_one_are_masked() {
        let log = DebugLog::new(Token::fixed("hunter2"));
        assert_eq!(
            log.masked(r#"{"a":"hunter2","b":"Bearer eyJhbGc.eyJzdWI.s-_g","c":"keys"}"#),
            r#"{"a":"***","b":"Bearer eyJ***","c":"keys"}"#
        );
    }

    #[test]
    fn private_keys_are_masked_whole_or_cut() {
        let log = DebugLog::new(Token::fixed("t0ken"));
        let whole = r#"{"k":"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n","x":1}"#;
        assert_eq!(log.masked(whole), r#"{"k":"*** PRIVATE KEY ***\n","x":1}"#);
        let cut = r#"{"k":"-----BEGIN RSA PRIVATE KEY-----\nb3Bl","x":1}"#;
        assert_eq!(log.masked(cut), r#"{"k":"*** PRIVATE KEY ***","x":1}"#);
        assert_eq!(log.masked("a PRIVATE KEY----- b"), "a PRIVATE KEY----- b");
    }
}
