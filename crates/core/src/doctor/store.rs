//! The store: there, whole, and of a version this program knows. It is looked at without making one.

use std::path::Path;

use super::{Finding, Looked};
use crate::{Store, StoreError};

const CHECK: &str = "store";

pub(super) async fn look(state_dir: &Path) -> Looked {
    let nothing = |finding| Looked {
        finding,
        store: None,
        installation: None,
    };
    let file = state_dir.join("containarium.db");
    match std::fs::metadata(&file) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let found = format!("no installation in {} yet", state_dir.display());
            return nothing(Finding::warning(CHECK, found).run("containarium init"));
        }
        Err(e) => {
            let found = format!(
                "{} cannot be looked at: {e}; run this as root",
                file.display()
            );
            return nothing(Finding::unknown(CHECK, found));
        }
    }
    let store = match Store::existing(state_dir) {
        Ok(store) => store,
        Err(e) => return nothing(judge(Err(&e))),
    };
    let whole = store.whole().await;
    let installation = store.installation().await;
    let finding = match (&whole, &installation) {
        (Err(e), _) | (Ok(()), Err(e)) => judge(Err(e)),
        (Ok(()), Ok(here)) => judge(Ok(&format!(
            "{} holds the installation {} ({})",
            file.display(),
            here.name,
            here.id
        ))),
    };
    Looked {
        finding,
        store: Some(store),
        installation: installation.ok(),
    }
}

fn judge(found: Result<&str, &StoreError>) -> Finding {
    match found {
        Ok(found) => Finding::ok(CHECK, found),
        Err(e @ StoreError::NotInitialised) => {
            Finding::warning(CHECK, e.to_string()).run("containarium init")
        }
        Err(
            e @ (StoreError::Directory { .. }
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::KeyReused(_)
            | StoreError::Taken(_)
            | StoreError::Sqlite(_)
            | StoreError::Unreadable(_)),
        ) => Finding::problem(CHECK, e.to_string()),
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
        drop(Store::open(dir.path()).unwrap());
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
    }
}
