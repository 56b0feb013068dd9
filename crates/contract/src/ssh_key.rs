//! An SSH public key as one safe line of `authorized_keys`.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssh_key::{
    PublicKey,
    public::{Ed25519PublicKey, KeyData},
};

use crate::Fingerprint;

/// One key: `TYPE BASE64 [COMMENT]`, written again from the key's own data.
///
/// Written again because `ssh_key` lets a line break, and so a second key, ride in the comment.
/// Taken are Ed25519, ECDSA, their security-key forms, and RSA of 3072 bits or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("examples" = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice@laptop"]))]
pub struct SshPublicKey {
    line: String,
    fingerprint: Fingerprint,
}

/// Why a text is not an [`SshPublicKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// More than one line, or a control character.
    #[error("an SSH public key is one line without control characters")]
    NotOneLine,
    /// A private key: the worst thing to send.
    #[error("this is a private key; give the public one, the file that ends in .pub")]
    Private,
    /// Not `TYPE BASE64 [COMMENT]`.
    #[error("an SSH public key is written `ssh-ed25519 AAAA… comment`, without options before it")]
    Grammar,
    /// RSA with too few bits.
    #[error("an RSA key needs at least 3072 bits, this one has {bits}")]
    Weak {
        /// The size of its modulus.
        bits: usize,
    },
    /// DSA and whatever else sshd refuses.
    #[error("keys of type {algorithm} are not accepted; use ed25519")]
    Algorithm {
        /// As OpenSSH names it.
        algorithm: String,
    },
}

impl SshPublicKey {
    /// The line as it goes into `authorized_keys`.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// Two keys with the same one are the same key, whatever their comments.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Such as `ssh-ed25519`.
    pub fn kind(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// What its owner wrote behind it; may be empty.
    pub fn comment(&self) -> &str {
        self.line.splitn(3, ' ').nth(2).unwrap_or_default()
    }
}

impl FromStr for SshPublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        // Files end in a line break; nothing else may hold one.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.contains("PRIVATE KEY") {
            return Err(NotAKey::Private);
        }
        if text.chars().any(char::is_control) {
            return Err(NotAKey::NotOneLine);
        }
        if text.len() > 8192 {
            return Err(NotAKey::Grammar);
        }
        let key = PublicKey::from_openssh(text.trim()).map_err(|_| NotAKey::Grammar)?;
        strong_enough(key.key_data())?;
        let comment: String = key
            .comment()
            .chars()
            .filter(|c| is_plain(*c))
            .take(100)
            .collect();
        let bare = PublicKey::new(key.key_data().clone(), "");
        let line = bare.to_openssh().map_err(|_| NotAKey::Grammar)?;
        let line = format!("{} {}", line.trim(), comment.trim())
            .trim()
            .to_owned();
        Ok(Self {
            line,
            fingerprint: Fingerprint::of(&bare),
        })
    }
}

/// What a comment may hold without meaning anything to a shell, a template or a parser.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " @._+:-".contains(c)
}

fn strong_enough(key: &KeyData) -> Result<(), NotAKey> {
    match key {
        KeyData::Ed25519(Ed25519PublicKey(_))
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) => {
            let modulus = rsa.n.as_positive_bytes().ok_or(NotAKey::Grammar)?;
            let zeros = modulus
                .first()
                .map_or(8, |byte| byte.leading_zeros() as usize);
            let bits = (modulus.len() * 8).saturating_sub(zeros);
            if bits >= 3072 {
                Ok(())
            } else {
                Err(NotAKey::Weak { bits })
            }
        }
        other => Err(NotAKey::Algorithm {
            algorithm: other.algorithm().to_string(),
        }),
    }
}

impl TryFrom<String> for SshPublicKey {
    type Error = NotAKey;
    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<SshPublicKey> for String {
    fn from(key: SshPublicKey) -> Self {
        key.line
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_is_written_again_from_its_data() {
        let key: SshPublicKey = format!("{ED25519} alice@laptop\n").parse().unwrap();
        assert_eq!(key.as_str(), format!("{ED25519} alice@laptop"));
        assert_eq!((key.kind(), key.comment()), ("ssh-ed25519", "alice@laptop"));
        let bare: SshPublicKey = ED25519.parse().unwrap();
        assert_eq!(
            (bare.kind(), bare.comment(), bare.fingerprint()),
            ("ssh-ed25519", "", key.fingerprint())
        );
    }

    #[test]
    fn nothing_rides_along() {
        let two_keys = format!("{ED25519} a@b\n{ED25519} evil");
        assert_eq!(two_keys.parse::<SshPublicKey>(), Err(NotAKey::NotOneLine));
        assert_eq!(
            format!("{ED25519}\0").parse::<SshPublicKey>(),
            Err(NotAKey::NotOneLine)
        );
        let options = format!("command=\"id\" {ED25519}");
        assert_eq!(options.parse::<SshPublicKey>(), Err(NotAKey::Grammar));
        let comment: SshPublicKey = format!("{ED25519} {{{{7*7}}}} $(id) `x`").parse().unwrap();
        assert_eq!(comment.as_str(), format!("{ED25519} 77 id x"));
    }

    #[test]
    fn junk_private_and_weak_keys_are_told_apart() {
        for junk in ["", "x", "ssh-ed25519", "ssh-ed25519 AAAA", "-rf"] {
            assert_eq!(
                junk.parse::<SshPublicKey>(),
                Err(NotAKey::Grammar),
                "{junk:?}"
            );
        }
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----";
        assert_eq!(private.parse::<SshPublicKey>(), Err(NotAKey::Private));
        let weak = include_str!("../tests/rsa-1024.pub");
        assert_eq!(
            weak.parse::<SshPublicKey>(),
            Err(NotAKey::Weak { bits: 1024 })
        );
        assert!(
            include_str!("../tests/rsa-3072.pub")
                .parse::<SshPublicKey>()
                .is_ok()
        );
    }
}
