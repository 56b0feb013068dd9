//! The one installation of a state directory.

use rusqlite::OptionalExtension as _;

use super::{Store, StoreError};
use crate::Installation;

impl Store {
    /// The installation, once `init` has made one.
    pub async fn installation(&self) -> Result<Installation, StoreError> {
        self.run(|db| {
            let json: Option<String> = db
                .query_row("SELECT json FROM installation", [], |row| row.get(0))
                .optional()?;
            let json = json.ok_or(StoreError::NotInitialised)?;
            read(&json)
        })
        .await
    }

    /// Writes the installation down.
    pub async fn set_installation(&self, installation: &Installation) -> Result<(), StoreError> {
        let json = serde_json::to_string(installation)
            .map_err(|e| StoreError::Unreadable(e.to_string()))?;
        self.run(move |db| {
            db.execute(
                "INSERT INTO installation (only, json) VALUES (1, ?1)
                 ON CONFLICT (only) DO UPDATE SET json = excluded.json",
                [json],
            )?;
            Ok(())
        })
        .await
    }
}

fn read(json: &str) -> Result<Installation, StoreError> {
    let mut known: Installation =
        serde_json::from_str(json).map_err(|e| StoreError::Unreadable(e.to_string()))?;
    if known.pool.is_empty() {
        known.pool.clone_from(&known.name);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_from_before_there_was_a_choice_has_the_pool_of_its_name() {
        let old = r#"{"id":"01","name":"ct","gateway":"10.64.0.1","prefix":16,
            "uid_first":1000000,"uid_ranges":3,"default_image":"local:debian/12"}"#;
        assert_eq!(read(old).unwrap().pool, "ct");
        let chosen = old.replace(r#""name""#, r#""pool":"tank","name""#);
        assert_eq!(read(&chosen).unwrap().pool, "tank");
    }
}
