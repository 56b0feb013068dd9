//! The secret that tokens are signed with, as it was given: a flag wins over the environment.

use std::{env, path::PathBuf};

use containarium_core::secret::SecretSource;
use secrecy::SecretString;

/// What the flags say, or what the environment says where they say nothing.
///
/// clap does not read these variables: a variable must neither conflict with an option nor win
/// over it, and clap does not tell the two apart.
pub(crate) fn given(flag: Option<SecretString>, file_flag: Option<PathBuf>) -> SecretSource {
    if flag.is_some() || file_flag.is_some() {
        return SecretSource {
            secret: flag,
            file: file_flag,
        };
    }
    SecretSource {
        secret: env::var("CONTAINARIUM_JWT_SECRET")
            .ok()
            .map(SecretString::from),
        file: env::var_os("CONTAINARIUM_JWT_SECRET_FILE").map(PathBuf::from),
    }
}
