//! `--ssh-key`: a public key, or the file that holds one.

use std::{fs::File, io::Read, path::Path};

use containarium_contract::SshPublicKey;

/// More than any key; what is longer is no key.
const LONGEST: u64 = 16 * 1024;

/// Reads the key in the file `given`, or `given` itself.
pub(crate) fn parse(given: &str) -> Result<SshPublicKey, String> {
    let text = if Path::new(given).is_file() {
        read(given)?
    } else {
        given.to_owned()
    };
    text.parse()
        .map_err(|error: <SshPublicKey as std::str::FromStr>::Err| {
            // A path, or a key that lost its blanks: without one it could not be a key.
            if text.contains(' ') || text.contains('\n') {
                error.to_string()
            } else {
                format!("there is no such file, and {error}")
            }
        })
}

fn read(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    read.map(|_| text)
        .map_err(|error| format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";

    fn in_file(text: &str) -> Result<SshPublicKey, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        parse(file.path().to_str().unwrap())
    }

    #[test]
    fn a_key_and_a_file_of_a_key_are_the_same() {
        assert_eq!(parse(KEY).unwrap().as_str(), KEY);
        assert_eq!(in_file(&format!("{KEY}\n")).unwrap().as_str(), KEY);
    }

    #[test]
    fn a_private_key_is_refused_in_the_contracts_words() {
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        let error = in_file(private).unwrap_err();
        assert_eq!(
            error,
            "this is a private key; give the public one, the file that ends in .pub"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let error = parse("/nowhere/id_ed25519.pub").unwrap_err();
        assert!(
            error.starts_with("there is no such file, and an SSH public key is"),
            "{error}"
        );
    }
}
