//! The secret that signs tokens: there, and long enough. Never shown.

use std::{net::IpAddr, path::Path};

use secrecy::ExposeSecret as _;

use super::Finding;
use crate::secret::{self, NoSecret, SecretSource};

const CHECK: &str = "secret";
/// Shorter ones can be guessed.
const GOOD: usize = 32;

pub(super) fn examine(state_dir: &Path, address: IpAddr) -> Finding {
    let found = secret::find(SecretSource::default(), state_dir, false);
    judge(found.map(|secret| secret.expose_secret().len()), address)
}

fn judge(length: Result<usize, NoSecret>, address: IpAddr) -> Finding {
    let renew = |finding: Finding| {
        finding
            .run(format!(
                "(umask 077 && openssl rand -base64 32 > {})",
                secret::SYSTEM_FILE
            ))
            .run("systemctl restart containarium  # every token must be made anew")
    };
    match length {
        Ok(length) if length >= GOOD => Finding::ok(CHECK, format!("{length} bytes")),
        Ok(length) if address.is_loopback() => renew(Finding::warning(
            CHECK,
            format!("{length} bytes, which can be guessed; at least {GOOD} are good"),
        )),
        Ok(length) => renew(Finding::problem(
            CHECK,
            format!(
                "{length} bytes, which can be guessed by whoever reaches {address}: the daemon refuses to start"
            ),
        )),
        Err(NoSecret::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Finding::ok(
                CHECK,
                "none yet: `containarium init`, or the first daemon, makes one",
            )
        }
        Err(why @ (NoSecret::File { .. } | NoSecret::Random | NoSecret::Both)) => {
            Finding::problem(CHECK, why.to_string())
        }
        Err(why @ NoSecret::Empty(_)) => renew(Finding::problem(CHECK, why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_short_secret_is_worse_where_others_reach_it() {
        let (here, everywhere) = ("127.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap());
        assert_eq!(judge(Ok(44), everywhere).verdict, Verdict::Ok);
        assert_eq!(judge(Ok(12), here).verdict, Verdict::Warning);
        assert_eq!(judge(Ok(12), everywhere).verdict, Verdict::Problem);
        assert_eq!(
            judge(Err(NoSecret::Empty("f".into())), here).verdict,
            Verdict::Problem
        );
    }

    #[test]
    fn a_state_directory_without_one_is_only_young() {
        let dir = tempfile::tempdir().unwrap();
        let finding = examine(dir.path(), "127.0.0.1".parse().unwrap());
        assert_eq!(finding.verdict, Verdict::Ok, "{}", finding.found);
        std::fs::write(dir.path().join("jwt.secret"), "short\n").unwrap();
        let finding = examine(dir.path(), "127.0.0.1".parse().unwrap());
        assert!(finding.found.starts_with("5 bytes"), "{}", finding.found);
        assert!(!finding.found.contains("short"), "the secret is shown");
    }
}
