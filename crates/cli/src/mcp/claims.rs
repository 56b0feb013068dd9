//! What a token says of itself, in words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use containarium_client::{Token, TokenSays};

/// What `token` says, where it is one of a daemon's in form.
pub(crate) fn of(token: &Token) -> Option<TokenSays> {
    let says = token.says();
    says.filter(|says| says.subject.is_some() && says.expiry.is_some())
}

/// How long it is still good; nothing where it has expired.
pub(crate) fn left(says: &TokenSays) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Duration::from_secs(says.expiry?).checked_sub(now)
}

/// Until when it is good.
pub(crate) fn until(says: &TokenSays) -> String {
    // The year 9999 is the last one that can be written so.
    let expiry = says.expiry.filter(|expiry| *expiry < 253_402_300_800);
    let end = expiry.and_then(|expiry| UNIX_EPOCH.checked_add(Duration::from_secs(expiry)));
    end.map_or_else(
        || "for ever".to_owned(),
        |end| humantime::format_rfc3339_seconds(end).to_string(),
    )
}

/// What it may.
pub(crate) fn may(says: &TokenSays) -> String {
    let has = |name: &str| says.roles.iter().any(|role| role == name);
    let may = if has("admin") {
        "everything, with everybody's containers"
    } else if has("user") {
        "everything, with their own containers"
    } else if has("viewer") {
        "see everything and change nothing"
    } else {
        "nothing"
    };
    let who = says.subject.as_deref().unwrap_or("somebody");
    let roles = says.roles.join(", ");
    format!("{who} ({roles}) may {may}{}", says.restrictions.but())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn what_a_token_says_is_put_in_words() {
        let payload = r#"{"sub":"alice","roles":["user"],"exp":1800000000,"jti":"x","max":5}"#;
        let token = format!("eyJ.{}.sig\n", URL_SAFE_NO_PAD.encode(payload));
        let says = of(&Token::fixed(&token)).unwrap();
        assert_eq!(
            may(&says),
            "alice (user) may everything, with their own containers, with at most 5 containers"
        );
        assert_eq!(until(&says), "2027-01-15T08:00:00Z");
        let expired = TokenSays {
            expiry: Some(1),
            ..says
        };
        assert_eq!(left(&expired), None);
        for none in ["", "eyJ", "eyJ.%.x", "eyJ.e30.x"] {
            assert_eq!(of(&Token::fixed(none)), None, "{none}");
        }
    }
}
