//! The fingerprint of an SSH public key: how a key is named without showing it.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssh_key::HashAlg;

/// `SHA256:` and 43 characters of base64, as `ssh-keygen -lf FILE` prints it.
///
/// Taken without `SHA256:` too, and with the padding that some tools add.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("examples" = ["SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"]))]
pub struct Fingerprint(String);

/// Why a text is not a [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFingerprint {
    /// The old kind, sixteen pairs of hexadecimal digits.
    #[error(
        "an MD5 fingerprint is not taken; give the one that begins with SHA256:, as `ssh-keygen -lf \
         FILE` prints it"
    )]
    Md5,
    /// Anything else.
    #[error(
        "a key's fingerprint is SHA256: and 43 letters, digits, + and /, as `ssh-keygen -lf FILE` \
         prints it"
    )]
    Grammar,
}

impl Fingerprint {
    /// With `SHA256:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fingerprint of a key without its comment.
    pub(crate) fn of(key: &ssh_key::PublicKey) -> Self {
        Self(key.fingerprint(HashAlg::Sha256).to_string())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.trim();
        let hex = text.strip_prefix("MD5:").unwrap_or(text);
        if hex.len() == 47 && hex.split(':').all(|pair| pair.len() == 2) {
            return Err(NotAFingerprint::Md5);
        }
        let digest = text.strip_prefix("SHA256:").unwrap_or(text);
        let digest = digest.strip_suffix('=').unwrap_or(digest);
        // Not more than it may be is decoded; the decoder looks at the last one's unused bits.
        let read = (digest.len() == 43).then(|| format!("SHA256:{digest}"));
        let read = read.ok_or(NotAFingerprint::Grammar)?;
        match ssh_key::Fingerprint::from_str(&read) {
            Ok(ssh_key::Fingerprint::Sha256(_)) => Ok(Self(read)),
            Ok(_) | Err(_) => Err(NotAFingerprint::Grammar),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NotAFingerprint;
    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SshPublicKey;

    const GOOD: &str = "SHA256:ybDwNP7bVbsXw6E/oh9aFoxtDKGBlA2dOzOhzgIlXAo";

    #[test]
    fn it_is_taken_as_tools_print_it() {
        let bare = GOOD.strip_prefix("SHA256:").unwrap();
        for given in [GOOD, bare, &format!("{GOOD}="), &format!(" {bare}=\n")] {
            assert_eq!(given.parse::<Fingerprint>().unwrap().as_str(), GOOD);
        }
    }

    #[test]
    fn a_keys_own_reads_back() {
        let key: SshPublicKey = include_str!("../tests/rsa-3072.pub").parse().unwrap();
        let read: Fingerprint = key.fingerprint().to_string().parse().unwrap();
        assert_eq!(read, *key.fingerprint());
    }

    #[test]
    fn the_old_kind_is_told_what_to_give_instead() {
        let md5 = "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48";
        for given in [md5.to_owned(), format!("MD5:{md5}")] {
            assert_eq!(given.parse::<Fingerprint>(), Err(NotAFingerprint::Md5));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "A".repeat(10_000);
        let url = GOOD.replace('/', "_");
        let sha512 = GOOD.replace("256", "512");
        // The last character of 43 has two bits that nobody uses.
        let loose = format!("{}p", GOOD.strip_suffix('o').unwrap());
        for junk in [
            "", "SHA256:", "SHA256:x", "x", &long, &url, &sha512, &loose, "ü",
        ] {
            let refused = junk.parse::<Fingerprint>();
            assert_eq!(refused, Err(NotAFingerprint::Grammar), "{junk}");
        }
    }
}
