//! What a token says of itself, for people: it is not verified, which only its server can.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use containarium_contract::Restrictions;
use serde::{Deserialize, Serialize};

/// The part that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Claims {
    /// Who it speaks for.
    pub(crate) sub: String,
    /// Its roles.
    pub(crate) roles: Vec<String>,
    /// Until when it is good, Unix seconds.
    pub(crate) exp: u64,
    /// What it gives up of what they allow.
    #[serde(flatten)]
    pub(crate) restrictions: Restrictions,
}

impl Claims {
    /// Reads a token's; `None` where it is none of ours.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let payload = token.trim().split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// Those of the token in a file.
    pub(crate) fn in_file(path: &Path) -> Option<Self> {
        Self::of(&std::fs::read_to_string(path).ok()?)
    }

    /// How long it is still good; nothing where it has expired.
    pub(crate) fn left(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Duration::from_secs(self.exp).checked_sub(now)
    }

    /// Until when it is good.
    pub(crate) fn until(&self) -> String {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(self.exp));
        // The year 9999 is the last one that can be written so.
        let end = end.filter(|_| self.exp < 253_402_300_800);
        end.map_or_else(
            || "for ever".to_owned(),
            |end| humantime::format_rfc3339_seconds(end).to_string(),
        )
    }

    /// What it may.
    pub(crate) fn may(&self) -> String {
        let has = |name: &str| self.roles.iter().any(|role| role == name);
        let may = if has("admin") {
            "everything, with everybody's containers"
        } else if has("user") {
            "everything, with their own containers"
        } else if has("viewer") {
            "see everything and change nothing"
        } else {
            "nothing"
        };
        let mut may = format!("{} ({}) may {may}", self.sub, self.roles.join(", "));
        if !self.restrictions.only.is_empty() {
            may += &format!(", only of containers named {}", self.restrictions.names());
        }
        if let Some(max) = self.restrictions.max {
            may += &format!(", with at most {max} containers");
        }
        if self.restrictions.read_only {
            may += ", and change nothing";
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_says_is_read_and_what_is_none_is_not() {
        let payload = r#"{"sub":"alice","roles":["user"],"exp":1800000000,"jti":"x"}"#;
        let token = format!("eyJ.{}.sig\n", URL_SAFE_NO_PAD.encode(payload));
        let claims = Claims::of(&token).unwrap();
        assert_eq!(
            claims.may(),
            "alice (user) may everything, with their own containers"
        );
        let small = Claims {
            restrictions: "only=agent-*; max=5; read-only".parse().unwrap(),
            ..claims.clone()
        };
        assert!(
            small.may().ends_with(
                ", only of containers named agent-*, with at most 5 containers, and change nothing"
            ),
            "{}",
            small.may()
        );
        assert_eq!(claims.until(), "2027-01-15T08:00:00Z");
        assert_eq!(Claims { exp: 1, ..claims }.left(), None);
        for none in ["", "eyJ", "eyJ.%.x", "eyJ.e30.x"] {
            assert_eq!(Claims::of(none), None, "{none}");
        }
    }
}
