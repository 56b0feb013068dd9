//! Tokens: JWTs signed with HS256, made and read here alone.
//!
//! The header is one constant, compared byte for byte, so nothing in a header (`alg`, `crit`,
//! `kid`, `jku`, …) is ever acted on. The signature is checked before anything is parsed.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use containarium_contract::{Restrictions, Subject, UsernamePattern};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use ulid::Ulid;

use crate::{Principal, Role};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const ISSUER: &str = "containarium";
/// The longest life of a token.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longer texts are not looked at.
const LONGEST_TOKEN: usize = 4096;
/// How far clocks may differ, seconds.
const LEEWAY: u64 = 5;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The subject again, for readers of the Go reference's tokens.
    pub username: String,
    /// Who the token speaks for.
    pub sub: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Always `containarium`.
    pub iss: String,
    /// Always `containarium`.
    pub aud: String,
    /// When it was made, Unix seconds.
    pub iat: u64,
    /// From when it is good, Unix seconds.
    pub nbf: u64,
    /// Until when it is good, Unix seconds.
    pub exp: u64,
    /// Its own id.
    pub jti: String,
    /// The names it is restricted to; absent where it is not.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "some_names"
    )]
    pub only: Vec<UsernamePattern>,
    /// The most containers it may have; absent where there is no limit.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "a_number"
    )]
    pub max: Option<u32>,
    /// Whether it changes nothing; absent where it may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// Names of no container would be read as those of all.
fn some_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<UsernamePattern>, D::Error> {
    let names = Vec::deserialize(from)?;
    if names.is_empty() {
        return Err(D::Error::custom("`only` names nothing"));
    }
    Ok(names)
}

/// A `null` would be read as no limit.
fn a_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    u32::deserialize(from).map(Some)
}

/// Why a token is not good. For the log; callers are told only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGood {
    /// Not three parts, too long, or with another header than ours.
    #[error("not a token of ours in form")]
    Form,
    /// Signed with another secret, or changed since.
    #[error("the signature does not match this daemon's secret")]
    Signature,
    /// The claims are not the ones a token of ours has.
    #[error("the claims are not those of a token of ours")]
    Claims,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
    /// It would live longer than any token may.
    #[error("it lives longer than 366 days")]
    TooLong,
}

/// Why a token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotMint {
    /// Zero, or more than [`LONGEST_LIFE`].
    #[error("a token lives at least one second and at most 366 days (8784h)")]
    Life,
    /// Without a role it could do nothing.
    #[error("a token needs at least one role: admin, user or viewer")]
    NoRole,
    /// A token carries one set of restrictions, and these would be several.
    #[error("a token carries one set of restrictions")]
    Restrictions,
    /// So many names that it would not be read.
    #[error("the token would be longer than 4096 characters; name fewer containers in `only`")]
    TooLong,
    /// The secret is empty.
    #[error("the secret is empty")]
    EmptySecret,
}

/// Makes a token for `who` that is good from `now` (Unix seconds) for `life`.
pub fn mint(
    secret: &SecretSlice<u8>,
    who: &Principal,
    now: u64,
    life: Duration,
    id: Ulid,
) -> Result<String, CannotMint> {
    if secret.expose_secret().is_empty() {
        return Err(CannotMint::EmptySecret);
    }
    if who.roles.is_empty() {
        return Err(CannotMint::NoRole);
    }
    if life.as_secs() == 0 || life > LONGEST_LIFE {
        return Err(CannotMint::Life);
    }
    let restrictions = match &who.restrictions[..] {
        [] => Restrictions::default(),
        [one] => one.clone(),
        _ => return Err(CannotMint::Restrictions),
    };
    let mut claims = Claims {
        username: who.subject.to_string(),
        sub: who.subject.to_string(),
        roles: who.roles.iter().map(Role::to_string).collect(),
        iss: ISSUER.into(),
        aud: ISSUER.into(),
        iat: now,
        nbf: now,
        exp: now.saturating_add(life.as_secs()),
        jti: id.to_string(),
        only: restrictions.only,
        max: restrictions.max,
        read_only: restrictions.read_only,
    };
    // `cut -d. -f2 | base64 -d` is how people look into a token; base64 wants whole groups.
    let mut json = to_json(&claims);
    while !json.len().is_multiple_of(3) {
        claims.jti.push('0');
        json = to_json(&claims);
    }
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(HEADER),
        URL_SAFE_NO_PAD.encode(json)
    );
    let signature = hmac::sign(&key(secret), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    if token.len() > LONGEST_TOKEN {
        return Err(CannotMint::TooLong);
    }
    Ok(token)
}

/// Reads a token at `now` (Unix seconds).
pub fn verify(secret: &SecretSlice<u8>, token: &str, now: u64) -> Result<Claims, NotGood> {
    if token.len() > LONGEST_TOKEN || secret.expose_secret().is_empty() {
        return Err(NotGood::Form);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(NotGood::Form)?;
    let (header, payload) = signed.split_once('.').ok_or(NotGood::Form)?;
    if header != URL_SAFE_NO_PAD.encode(HEADER) {
        return Err(NotGood::Form);
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| NotGood::Form)?;
    hmac::verify(&key(secret), signed.as_bytes(), &signature).map_err(|_| NotGood::Signature)?;
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| NotGood::Claims)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| NotGood::Claims)?;
    let ours = claims.iss == ISSUER && claims.aud == ISSUER && claims.sub == claims.username;
    if !ours || claims.sub.parse::<Subject>().is_err() {
        return Err(NotGood::Claims);
    }
    if claims.exp <= now.saturating_sub(LEEWAY) {
        return Err(NotGood::Expired);
    }
    if claims.nbf.max(claims.iat) > now.saturating_add(LEEWAY) {
        return Err(NotGood::NotYet);
    }
    if claims.exp.saturating_sub(claims.iat) > LONGEST_LIFE.as_secs() {
        return Err(NotGood::TooLong);
    }
    Ok(claims)
}

impl Claims {
    /// Who the token speaks for.
    pub fn principal(&self) -> Result<Principal, NotGood> {
        let subject = self.sub.parse().map_err(|_| NotGood::Claims)?;
        let roles = self
            .roles
            .iter()
            .filter_map(|role| role.parse().ok())
            .collect();
        let restrictions = self.restrictions();
        Ok(Principal {
            subject,
            roles,
            restrictions: Some(restrictions)
                .filter(|one| !one.is_none())
                .into_iter()
                .collect(),
        })
    }

    /// What it gives up of what its roles allow.
    pub fn restrictions(&self) -> Restrictions {
        Restrictions {
            only: self.only.clone(),
            max: self.max,
            read_only: self.read_only,
        }
    }
}

fn key(secret: &SecretSlice<u8>) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret())
}

fn to_json(claims: &Claims) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(claims).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn secret(text: &str) -> SecretSlice<u8> {
        SecretSlice::from(text.as_bytes().to_vec())
    }

    fn alice() -> Principal {
        Principal {
            subject: "alice".parse().unwrap(),
            roles: vec![Role::Admin],
            restrictions: Vec::new(),
        }
    }

    fn token() -> String {
        mint(
            &secret("s"),
            &alice(),
            NOW,
            Duration::from_secs(60),
            Ulid::nil(),
        )
        .unwrap()
    }

    fn signed(header: &str, claims: &str) -> String {
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = hmac::sign(&key(&secret("s")), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_token_starts_as_documented_and_can_be_looked_into() {
        let token = token();
        assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."));
        let payload = token.split('.').nth(1).unwrap();
        assert_eq!(payload.len() % 4, 0, "base64 -d wants whole groups");
        assert!(!payload.contains(['-', '_']), "base64 -d knows neither");
    }

    #[test]
    fn a_token_is_read_back() {
        let claims = verify(&secret("s"), &token(), NOW).unwrap();
        assert_eq!(claims.principal().unwrap(), alice());
    }

    #[test]
    fn restrictions_are_read_back() {
        for said in [
            "only=agent-*,bob; max=5; read-only",
            "max=0",
            "read-only",
            "only=bob",
        ] {
            let who = Principal {
                restrictions: vec![said.parse().unwrap()],
                ..alice()
            };
            let hour = Duration::from_secs(3600);
            let token = mint(&secret("s"), &who, NOW, hour, Ulid::nil()).unwrap();
            let claims = verify(&secret("s"), &token, NOW).unwrap();
            assert_eq!(claims.restrictions().to_string(), said);
            assert_eq!(claims.principal().unwrap(), who);
        }
    }

    #[test]
    fn a_token_without_restrictions_says_nothing_of_them() {
        let said = serde_json::to_value(verify(&secret("s"), &token(), NOW).unwrap()).unwrap();
        let claims: Vec<&String> = said.as_object().unwrap().keys().collect();
        let before = [
            "aud", "exp", "iat", "iss", "jti", "nbf", "roles", "sub", "username",
        ];
        let mut sorted = claims.clone();
        sorted.sort();
        assert_eq!(sorted, before);
    }

    #[test]
    fn what_would_not_be_read_is_not_made() {
        let with = |restrictions| Principal {
            restrictions,
            ..alice()
        };
        let mint = |who: &Principal| {
            let hour = Duration::from_secs(3600);
            mint(&secret("s"), who, NOW, hour, Ulid::nil()).map(|_| ())
        };
        let one: Restrictions = "max=1".parse().unwrap();
        assert_eq!(mint(&with(vec![one.clone()])), Ok(()));
        let two = with(vec![one.clone(), one]);
        assert_eq!(mint(&two), Err(CannotMint::Restrictions));
        let name = |n| format!("a-name-of-some-length-{n}").parse().unwrap();
        let many = Restrictions {
            only: (0..200).map(name).collect(),
            ..Restrictions::default()
        };
        assert_eq!(mint(&with(vec![many])), Err(CannotMint::TooLong));
    }

    #[test]
    fn time_is_kept() {
        let at = |now| verify(&secret("s"), &token(), now).map(|_| ());
        assert_eq!(at(NOW + 59), Ok(()));
        assert_eq!(at(NOW + 66), Err(NotGood::Expired));
        assert_eq!(at(NOW - 60), Err(NotGood::NotYet));
        let life = |secs| {
            mint(
                &secret("s"),
                &alice(),
                NOW,
                Duration::from_secs(secs),
                Ulid::nil(),
            )
            .map(|_| ())
        };
        assert_eq!(life(0), Err(CannotMint::Life));
        assert_eq!(life(367 * 86400), Err(CannotMint::Life));
        assert_eq!(life(8760 * 3600), Ok(()));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let good = serde_json::to_value(verify(&secret("s"), &token(), NOW).unwrap()).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut claims = good.clone();
            claims[field] = value;
            signed(HEADER, &claims.to_string())
        };
        let claims = good.to_string();
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove("exp");
        for bad in [
            String::new(),
            "..".into(),
            "eyJ".into(),
            "a.b.c.d".into(),
            "x".repeat(1 << 20),
            token() + "x",
            token().replace('.', ".."),
            format!(" {}", token()),
            format!("{}=", token()),
            signed(r#"{"alg":"none","typ":"JWT"}"#, &claims),
            signed(r#"{"alg":"HS384","typ":"JWT"}"#, &claims),
            signed(r#"{"typ":"JWT","alg":"HS256"}"#, &claims),
            signed(
                r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#,
                &claims,
            ),
            signed(r#"{"alg":"HS256","typ":"JWT","crit":["x"]}"#, &claims),
            signed(HEADER, &missing.to_string()),
            signed(HEADER, "{}"),
            signed(HEADER, "[]"),
            signed(HEADER, &"[".repeat(2000)),
            with("iss", "other".into()),
            with("aud", "other".into()),
            with("aud", serde_json::json!(["containarium"])),
            with("sub", "bob".into()),
            with("exp", (NOW as f64 + 0.5).into()),
            with("exp", "9999999999".into()),
            with("exp", u64::MAX.into()),
            with("exp", (-1).into()),
            with("nbf", (NOW + 3600).into()),
            with("iat", (NOW + 3600).into()),
            with("extra", 1.into()),
            with("roles", "admin".into()),
            with("only", "agent-*".into()),
            with("only", serde_json::json!([])),
            with("only", serde_json::json!(["*"])),
            with("only", serde_json::json!(["Agent"])),
            with("only", serde_json::Value::Null),
            with("max", "5".into()),
            with("max", (-1).into()),
            with("max", serde_json::Value::Null),
            with("read_only", "yes".into()),
            with("read_only", serde_json::Value::Null),
            with("readOnly", true.into()),
        ] {
            assert!(verify(&secret("s"), &bad, NOW).is_err(), "{bad:.80}");
        }
        assert_eq!(verify(&secret("t"), &token(), NOW), Err(NotGood::Signature));
        assert_eq!(verify(&secret(""), &token(), NOW), Err(NotGood::Form));
    }

    proptest! {
        #[test]
        fn no_text_is_a_token_by_chance(text in "\\PC{0,200}") {
            prop_assert!(verify(&secret("s"), &text, NOW).is_err());
        }

        #[test]
        fn a_changed_token_is_not_good(at in 0_usize..200, with in "[A-Za-z0-9]") {
            let token = token();
            let at = at % token.len();
            let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            // The last character of a group may carry bits that nothing reads.
            let read = |t: &str| t.split('.').map(|p| URL_SAFE_NO_PAD.decode(p)).collect::<Vec<_>>();
            prop_assume!(read(&changed) != read(&token));
            prop_assert!(verify(&secret("s"), &changed, NOW).is_err());
        }
    }
}
