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
            serde_json::from_str(&json).map_err(|e| StoreError::Unreadable(e.to_string()))
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
