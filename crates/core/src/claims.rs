//! One task owns one container, or image, at a time: whoever holds the claim on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who owns which container right now.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashMap<String, Weak<Turn<()>>>>);

/// Ends when dropped.
pub(crate) struct Claim {
    _turn: OwnedMutexGuard<()>,
}

impl Claims {
    /// Waits for the container's turn. Requests are served in the order in which they came.
    pub(crate) async fn claim(&self, target: &str) -> Claim {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns
                .get(target)
                .and_then(Weak::upgrade)
                .unwrap_or_default();
            turns.insert(target.to_owned(), Arc::downgrade(&turn));
            turn
        };
        Claim {
            _turn: turn.lock_owned().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn one_container_has_one_owner_and_others_do_not_wait_for_it() {
        let claims = Claims::default();
        let (alice, bob) = ("alice", "bob");
        let first = claims.claim(alice).await;
        let _other = claims.claim(bob).await;
        let soon = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, claims.claim(alice))
                .await
                .is_err()
        );
        drop(first);
        assert!(
            tokio::time::timeout(soon, claims.claim(alice))
                .await
                .is_ok()
        );
    }
}
