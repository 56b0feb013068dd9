//! The store: there, whole, and of a version this program knows. It is looked at without making one.

use std::path::Path;

use super::{Finding, Looked};
use crate::{Harm, Store, StoreError, Unsound};

const CHECK: &str = "store";

pub(super) async fn look(state_dir: &Path) -> Looked {
    let nothing = |finding| Looked {
        finding,
        store: None,
        installation: None,
    };
    let file = state_dir.join("containarium.db");
    let store = match Store::existing(state_dir) {
        Ok(store) => store,
        Err(e) => return nothing(judge(&e, state_dir)),
    };
    let readable = store.readable().await;
    let installation = store.installation().await;
    let finding = match (&readable, &installation) {
        (Err(e), _) | (Ok(()), Err(e)) => judge(e, state_dir),
        (Ok(()), Ok(here)) => Finding::ok(
            CHECK,
            format!(
                "{} holds the installation {} ({})",
                file.display(),
                here.name,
                here.id
            ),
        ),
    };
    Looked {
        finding,
        store: Some(store),
        installation: installation.ok(),
    }
}

fn judge(error: &StoreError, state_dir: &Path) -> Finding {
    match error {
        StoreError::NotInitialised => {
            let found = format!("no installation in {} yet", state_dir.display());
            Finding::warning(CHECK, found).run("containarium init")
        }
        // Somebody else may be able to tell.
        StoreError::Unsound(Unsound {
            harm: Harm::Denied, ..
        }) => Finding::unknown(CHECK, format!("{error}; run this as root")),
        StoreError::Unsound(unsound) => {
            let (what, commands) = unsound.repair();
            let finding = Finding::problem(CHECK, format!("{error}; {what}"));
            commands.into_iter().fold(finding, Finding::run)
        }
        StoreError::Directory { .. }
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::KeyReused(_)
        | StoreError::Taken(_)
        | StoreError::InUse { .. }
        | StoreError::Full
        | StoreError::Sqlite(_)
        | StoreError::Unreadable(_) => Finding::problem(CHECK, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[tokio::test]
    async fn looking_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let looked = look(&dir.path().join("state")).await;
        assert_eq!(looked.finding.verdict, Verdict::Warning);
        assert_eq!(looked.finding.commands, ["containarium init"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_damaged_store_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::make(dir.path()).unwrap());
        let young = look(dir.path()).await;
        assert_eq!(
            young.finding.verdict,
            Verdict::Warning,
            "{}",
            young.finding.found
        );
        std::fs::write(dir.path().join("containarium.db"), [7; 8192]).unwrap();
        let damaged = look(dir.path()).await;
        assert_eq!(
            damaged.finding.verdict,
            Verdict::Problem,
            "{}",
            damaged.finding.found
        );
        assert!(damaged.installation.is_none());
        let commands = damaged.finding.commands.join("\n");
        assert!(
            commands.contains("containarium init --recover"),
            "{commands}"
        );
    }
}
